/* A request's header: what guard.c refuses, and the media types. The input is a line "METHOD VERSION", with a
   last word "tcp" or "unix", and lines "Name: value"; the library's part is played by the double below. */
#include "fuzz.h"

#include "daemon/http/guard.h"

#include <string.h>
#include <strings.h>

enum { MAX_HEADERS = 200 };

struct MHD_Connection {
        struct {
                const char *name, *value;
        } header[MAX_HEADERS];
        int count;
};

int MHD_get_connection_values_n(
        struct MHD_Connection *con, enum MHD_ValueKind kind, MHD_KeyValueIteratorN look, void *ctx)
{
        FUZZ_CHECK(kind == MHD_HEADER_KIND);
        for (int i = 0; i < con->count; i++)
                if (look(ctx, kind, con->header[i].name, strlen(con->header[i].name), con->header[i].value,
                            strlen(con->header[i].value)) != MHD_YES)
                        return i + 1;
        return con->count;
}

static void read_headers(char *text, struct MHD_Connection *con)
{
        for (char *line = text, *next; line && con->count < MAX_HEADERS; line = next) {
                next = strchr(line, '\n');
                if (next)
                        *next++ = '\0';
                char *value = strchr(line, ':');
                if (!value)
                        continue;
                *value++ = '\0';
                con->header[con->count].name = line;
                con->header[con->count++].value = value + strspn(value, " ");
        }
}

static const char *find(const struct MHD_Connection *con, const char *name, int *count)
{
        const char *value = NULL;
        *count = 0;
        for (int i = 0; i < con->count; i++)
                if (strcasecmp(con->header[i].name, name) == 0) {
                        value = con->header[i].value;
                        ++*count;
                }
        return value;
}

/* What two parsers could read in two ways never passes. */
static void check_passed(const struct MHD_Connection *con, const struct guard_facts *f)
{
        int lengths, encodings, hosts;
        const char *length = find(con, "Content-Length", &lengths);
        const char *encoding = find(con, "Transfer-Encoding", &encodings);
        (void)find(con, "Host", &hosts);
        FUZZ_CHECK(lengths + encodings <= 1 && hosts <= 1);
        FUZZ_CHECK(!encoding || (strcasecmp(encoding, "chunked") == 0 && f->length == -1));
        FUZZ_CHECK(!length || (f->length >= 0 && strtoll(length, NULL, 10) == f->length));
        FUZZ_CHECK(length || encoding || f->length == 0);
        FUZZ_CHECK(strlen(f->media_type) <= MEDIA_MAX);
        for (int i = 0; i < con->count; i++)
                FUZZ_CHECK(con->header[i].name[0] && !strpbrk(con->header[i].name, " \t\r"));
}

static void check_media(const struct MHD_Connection *con)
{
        static const char *const offers[] = {"application/json", "text/csv", "image/svg+xml", NULL};
        char type[MEDIA_MAX + 1];
        int count, found = 0;
        const char *best = media_choose(find(con, "Accept", &count), offers);
        for (int i = 0; offers[i]; i++)
                found += best == offers[i];
        FUZZ_CHECK(found == 1);
        const char *given = find(con, "Content-Type", &count);
        if (given && media_parse(given, type)) {
                FUZZ_CHECK(strchr(type, '/') && strchr(type, '/') == strrchr(type, '/') && type[0] != '/');
                (void)media_is_json(type);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
        char *text = fuzz_text(bytes, len), *headers = strchr(text, '\n');
        char method[24] = "", version[24] = "", how[8] = "";
        struct MHD_Connection con = {0};
        struct guard_facts f = {.length = -2};
        struct err e = {0};
        int status = 0;
        if (headers)
                *headers++ = '\0';
        sscanf(text, "%23s %23s %7s", method, version, how);
        if (headers)
                read_headers(headers, &con);
        int rc = guard_check(
                &con, method, version, how[0] == 't', strcmp(method, "GET") != 0, &f, &status, &e);
        FUZZ_CHECK(rc == e.code && (rc == 0) == (status == 0) && (rc == 0) == (f.length != -2));
        FUZZ_CHECK(rc == 0 || status == 400 || status == 403 || status == 415 || status == 421);
        if (rc == 0)
                check_passed(&con, &f);
        check_media(&con);
        free(text);
        return 0;
}
