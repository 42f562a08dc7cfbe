#include "fuzz.h"

#include "base/json.h"
#include "train/request.h"

#include <string.h>

static void check_request(const cJSON *tree)
{
        struct err e = {0};
        struct train_request r = {0};
        int rc = train_request_parse(tree, &r, &e);
        FUZZ_CHECK(rc == e.code && (rc == 0 || rc == ERR_INVALID));
        if (rc == 0) {
                FUZZ_CHECK(
                        r.architecture && request_name_ok(r.dataset) && r.epochs >= 1 && r.batch_size >= 1);
                FUZZ_CHECK(r.optimizer.lr > 0 && r.seed <= (uint64_t)1 << 53);
        }
        train_request_finish(&r);
}

/* To the last bit, unlike cJSON_Compare. */
static void check_same(const cJSON *a, const cJSON *b)
{
        const cJSON *x = a->child, *y = b->child;
        FUZZ_CHECK((a->type & 0xFF) == (b->type & 0xFF) && a->valuedouble == b->valuedouble);
        for (; x && y; x = x->next, y = y->next)
                check_same(x, y);
        FUZZ_CHECK(!x && !y);
}

/* What is accepted is printed as text that is accepted, and is printed the same again. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
        struct err e = {0};
        cJSON *tree = json_parse((const char *)bytes, len, &e);
        FUZZ_CHECK(tree || e.code == ERR_SYNTAX);
        if (!tree)
                return 0;
        char *text = json_text(tree);
        FUZZ_CHECK(text);
        cJSON *again = json_parse(text, strlen(text), &e);
        if (!again)
                fprintf(stderr, "%s: %s\n", text, e.message);
        FUZZ_CHECK(again);
        check_same(tree, again);
        char *same = json_text(again);
        FUZZ_CHECK(same && strcmp(text, same) == 0);
        check_request(tree);
        free(same);
        free(text);
        cJSON_Delete(again);
        cJSON_Delete(tree);
        return 0;
}
