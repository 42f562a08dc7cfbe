/* The address of a request: path and query. */
#include "fuzz.h"

#include "daemon/http/target.h"

#include <string.h>

static void check_part(const char *part)
{
        FUZZ_CHECK(*part && strcmp(part, ".") != 0 && strcmp(part, "..") != 0 && !strchr(part, '/'));
        for (const char *p = part; *p; p++)
                FUZZ_CHECK((unsigned char)*p >= 0x20 && *p != 0x7F);
}

static void check_number(const struct target *t, const char *name, const char *value)
{
        struct err e = {0};
        char again[24];
        int64_t v = -1;
        int rc = target_get_int(t, name, 0, 1000000, &v, &e);
        FUZZ_CHECK(rc == e.code && (rc == 0 || rc == ERR_INVALID) && (rc == 0) == (v >= 0));
        FUZZ_CHECK(rc != 0 || v <= 1000000);
        e = (struct err){0};
        v = -1;
        rc = target_id(value, "job", &v, &e);
        FUZZ_CHECK(rc == e.code && (rc == 0 || rc == ERR_NOT_FOUND) && (rc == 0) == (v >= 0));
        snprintf(again, sizeof again, "%lld", (long long)v);
        FUZZ_CHECK(rc != 0 || strcmp(again, value + strspn(value, "0")) == 0 || v == 0);
}

static void check_target(const struct target *t)
{
        struct err e = {0};
        FUZZ_CHECK(t->part_count >= 0 && t->part_count <= TARGET_MAX_PARTS);
        FUZZ_CHECK(t->query_count >= 0 && t->query_count <= TARGET_MAX_QUERY);
        for (int i = 0; i < t->part_count; i++)
                check_part(t->part[i]);
        for (int i = 0; i < t->query_count; i++) {
                FUZZ_CHECK(target_get(t, t->query[i].name) == t->query[i].value);
                check_number(t, t->query[i].name, t->query[i].value);
        }
        int rc = target_only(t, "limit before after top", &e);
        FUZZ_CHECK(rc == e.code && (rc == 0 || rc == ERR_INVALID));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
        char *raw = fuzz_text(bytes, len);
        struct target t = {0};
        struct err e = {0};
        int rc = target_parse(raw, &t, &e);
        FUZZ_CHECK(rc == e.code && (rc == 0 || rc == ERR_SYNTAX || rc == ERR_NOT_FOUND));
        FUZZ_CHECK((rc == 0) == (t.text != NULL));
        if (rc == 0)
                check_target(&t);
        target_finish(&t);
        free(raw);
        return 0;
}
