#include "daemon/http/guard.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct seen {
        int hosts, lengths, encodings;
        const char *host, *length, *encoding, *origin, *site, *type, *content_encoding, *expect;
        bool bad_name, bad_value;
};

static enum MHD_Result look(void *ctx, enum MHD_ValueKind kind, const char *name, size_t name_len,
        const char *value, size_t value_len)
{
        struct seen *s = ctx;
        (void)kind;
        s->bad_name = s->bad_name || name_len == 0;
        for (size_t i = 0; value && i < value_len; i++)
                if (((unsigned char)value[i] < ' ' && value[i] != '\t') || value[i] == 0x7F)
                        s->bad_value = true;
        for (size_t i = 0; i < name_len; i++)
                if (name[i] <= ' ' || name[i] == 0x7F || name[i] == ':')
                        s->bad_name = true;
        value = value ? value : "";
        if (strcasecmp(name, "Host") == 0) {
                s->hosts++;
                s->host = value;
        } else if (strcasecmp(name, "Content-Length") == 0) {
                s->lengths++;
                s->length = value;
        } else if (strcasecmp(name, "Transfer-Encoding") == 0) {
                s->encodings++;
                s->encoding = value;
        } else if (strcasecmp(name, "Origin") == 0) {
                s->origin = value;
        } else if (strcasecmp(name, "Sec-Fetch-Site") == 0) {
                s->site = value;
        } else if (strcasecmp(name, "Content-Type") == 0) {
                s->type = value;
        } else if (strcasecmp(name, "Content-Encoding") == 0) {
                s->content_encoding = value;
        } else if (strcasecmp(name, "Expect") == 0) {
                s->expect = value;
        }
        return MHD_YES;
}

static int refuse(int *ret_status, struct err *e, const char *text)
{
        *ret_status = 400;
        return err_set(e, ERR_SYNTAX, "%s", text);
}

static int check_framing(const struct seen *s, struct guard_facts *f, int *status, struct err *e)
{
        if (s->bad_name)
                return refuse(status, e, "a header's name is empty or holds a blank or a control character");
        if (s->bad_value)
                return refuse(status, e, "a header's value holds a control character");
        if (s->lengths > 1)
                return refuse(status, e, "Content-Length is given twice");
        if (s->encodings && s->lengths)
                return refuse(status, e, "Content-Length and Transfer-Encoding are both given");
        if (s->encodings > 1 || (s->encoding && strcasecmp(s->encoding, "chunked") != 0))
                return refuse(status, e, "the only Transfer-Encoding known is chunked");
        if (s->expect && strcasecmp(s->expect, "100-continue") != 0)
                return refuse(status, e, "the only Expect known is 100-continue");
        if (s->length) {
                size_t n = strspn(s->length, "0123456789");
                if (n == 0 || n > 18 || s->length[n])
                        return refuse(status, e, "Content-Length is not a whole number");
                f->length = strtoll(s->length, NULL, 10);
        }
        if (s->encoding)
                f->length = -1;
        f->expects_continue = s->expect != NULL;
        return 0;
}

/* "localhost:7420", "127.0.0.1", "[::1]:80", "gpu.localhost": nothing that a foreign name server could have
 * made. */
static bool local_name(const char *host)
{
        char name[256];
        unsigned char address[16];
        size_t n = host[0] == '[' ? strcspn(host, "]") : strcspn(host, ":");
        if (n == 0 || n >= sizeof name)
                return false;
        if (host[0] == '[') {
                const char *rest = host + n;
                snprintf(name, sizeof name, "%.*s", (int)(n - 1), host + 1);
                return rest[0] == ']' && (!rest[1] || rest[1] == ':') &&
                       inet_pton(AF_INET6, name, address) == 1;
        }
        snprintf(name, sizeof name, "%.*s", (int)n, host);
        if (inet_pton(AF_INET, name, address) == 1 || strcasecmp(name, "localhost") == 0)
                return true;
        return n > 10 && strcasecmp(name + n - 10, ".localhost") == 0;
}

static int check_origin(const struct seen *s, bool local, bool unsafe, int *status, struct err *e)
{
        if (local && s->host && !local_name(s->host)) {
                *status = 421;
                return err_set(e, ERR_DENIED, "\"%.80s\" is not this server: ask for localhost", s->host);
        }
        if (!unsafe || !s->origin)
                return 0;
        /* What a browser says of itself, and lets no page say: a proxy in front changes Host, not this. */
        if (s->site && strcmp(s->site, "same-origin") == 0)
                return 0;
        const char *name = strstr(s->origin, "://");
        if (!name || !s->host || strcasecmp(name + 3, s->host) != 0) {
                *status = 403;
                return err_set(e, ERR_DENIED, "a page of %.80s may not change anything here", s->origin);
        }
        return 0;
}

static bool is_token(const char *text)
{
        static const char marks[] = "!#$%&'*+-.^_`|~";
        for (const char *c = text; *c; c++)
                if (!isalnum((unsigned char)*c) && !strchr(marks, *c))
                        return false;
        return *text != 0;
}

int guard_check(struct MHD_Connection *con, const char *method, const char *version, bool local, bool unsafe,
        struct guard_facts *ret, int *ret_status, struct err *e)
{
        struct seen s = {0};
        struct guard_facts f = {0};
        MHD_get_connection_values_n(con, MHD_HEADER_KIND, look, &s);
        if (!is_token(method))
                return refuse(ret_status, e, "the method is not a word");
        if (strcmp(version, "HTTP/1.1") != 0 && strcmp(version, "HTTP/1.0") != 0)
                return refuse(ret_status, e, "this is HTTP/1.1");
        if (s.hosts > 1 || (s.hosts == 0 && strcmp(version, "HTTP/1.1") == 0))
                return refuse(ret_status, e, "one Host is needed");
        int rc = check_framing(&s, &f, ret_status, e);
        if (rc == 0)
                rc = check_origin(&s, local, unsafe, ret_status, e);
        if (rc)
                return rc;
        if (s.content_encoding && strcasecmp(s.content_encoding, "identity") != 0) {
                *ret_status = 415;
                return err_set(e, ERR_MEDIA, "bodies are taken as they are, not in Content-Encoding %.40s",
                        s.content_encoding);
        }
        if (s.type && !media_parse(s.type, f.media_type)) {
                *ret_status = 415;
                return err_set(e, ERR_MEDIA, "Content-Type \"%.80s\" is not a media type", s.type);
        }
        *ret = f;
        return 0;
}
