#include "daemon/http/target.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static int hex_value(char c)
{
        if (c >= '0' && c <= '9')
                return c - '0';
        if (c >= 'a' && c <= 'f')
                return c - 'a' + 10;
        if (c >= 'A' && c <= 'F')
                return c - 'A' + 10;
        return -1;
}

/* Decodes `text` in place. `plus`: '+' is a blank, as in queries. */
static int decode(char *text, bool plus, struct err *e)
{
        char *out = text;
        for (const char *p = text; *p; p++) {
                int c = (unsigned char)*p;
                if (c == ' ')
                        return err_set(e, ERR_SYNTAX, "the address holds a blank");
                if (*p == '%') {
                        int high = hex_value(p[1]), low = high < 0 ? -1 : hex_value(p[2]);
                        if (low < 0)
                                return err_set(
                                        e, ERR_SYNTAX, "the address has a '%%' without two hex digits");
                        c = high * 16 + low;
                        p += 2;
                        if (c == '/' && !plus)
                                return err_set(e, ERR_SYNTAX, "the address has an escaped '/' in its path");
                } else if (c == '+' && plus) {
                        c = ' ';
                }
                if (c < 0x20 || c == 0x7F)
                        return err_set(e, ERR_SYNTAX, "the address holds a control character");
                *out++ = (char)c;
        }
        *out = '\0';
        return 0;
}

static int parse_path(char *path, struct target *t, struct err *e)
{
        if (strcmp(path, "/") == 0)
                return 0;
        for (char *part = path + 1, *next; part; part = next) {
                next = strchr(part, '/');
                if (next)
                        *next++ = '\0';
                int rc = decode(part, false, e);
                if (rc)
                        return rc;
                if (!*part || strcmp(part, ".") == 0 || strcmp(part, "..") == 0)
                        return err_set(e, ERR_SYNTAX, "the address has an empty or dot segment in its path");
                if (t->part_count == TARGET_MAX_PARTS)
                        return err_set(e, ERR_NOT_FOUND, "nothing is that deep down");
                t->part[t->part_count++] = part;
        }
        return 0;
}

static int parse_query(char *query, struct target *t, struct err *e)
{
        for (char *pair = query, *next; pair && *pair; pair = next) {
                next = strchr(pair, '&');
                if (next)
                        *next++ = '\0';
                char *value = strchr(pair, '=');
                if (value)
                        *value++ = '\0';
                int rc = decode(pair, true, e);
                if (rc == 0 && value)
                        rc = decode(value, true, e);
                if (rc)
                        return rc;
                if (target_get(t, pair))
                        return err_set(e, ERR_SYNTAX, "query parameter \"%s\" is given twice", pair);
                if (t->query_count == TARGET_MAX_QUERY)
                        return err_set(e, ERR_SYNTAX, "more than %d query parameters", TARGET_MAX_QUERY);
                t->query[t->query_count].name = pair;
                t->query[t->query_count++].value = value ? value : "";
        }
        return 0;
}

int target_parse(const char *raw, struct target *ret, struct err *e)
{
        struct target t = {0};
        if (strncasecmp(raw, "http://", 7) == 0) /* absolute form: the host was in the Host header too */
                raw += 7 + strcspn(raw + 7, "/?");
        if (raw[0] != '/')
                return err_set(e, ERR_SYNTAX, "the address does not begin with '/'");
        t.text = strdup(raw);
        if (!t.text)
                return err_set(e, ERR_NO_MEMORY, "no memory for an address");
        char *query = strchr(t.text, '?');
        if (query)
                *query++ = '\0';
        int rc = parse_path(t.text, &t, e);
        if (rc == 0)
                rc = parse_query(query, &t, e);
        if (rc) {
                target_finish(&t);
                return rc;
        }
        *ret = t;
        return 0;
}

void target_finish(struct target *t)
{
        free(t->text);
        *t = (struct target){0};
}

static bool in_list(const char *names, const char *name)
{
        size_t len = strlen(name);
        for (const char *p = names; *p; p += strcspn(p, " "), p += strspn(p, " "))
                if (strcspn(p, " ") == len && strncmp(p, name, len) == 0)
                        return true;
        return false;
}

int target_only(const struct target *t, const char *names, struct err *e)
{
        for (int i = 0; i < t->query_count; i++)
                if (!in_list(names, t->query[i].name))
                        return err_set(e, ERR_INVALID, "unknown query parameter \"%s\"; %s%s",
                                t->query[i].name, *names ? "known here: " : "none is known here", names);
        return 0;
}

const char *target_get(const struct target *t, const char *name)
{
        for (int i = 0; i < t->query_count; i++)
                if (strcmp(t->query[i].name, name) == 0)
                        return t->query[i].value;
        return NULL;
}

/* Digits only, at most 15 of them: far above every bound and below what an int64_t holds. */
static bool whole_number(const char *text, int64_t *ret)
{
        size_t n = strspn(text, "0123456789");
        if (n == 0 || n > 15 || text[n])
                return false;
        *ret = strtoll(text, NULL, 10);
        return true;
}

int target_get_int(
        const struct target *t, const char *name, int64_t min, int64_t max, int64_t *ret, struct err *e)
{
        const char *text = target_get(t, name);
        int64_t v;
        if (!text)
                return 0;
        if (!whole_number(text, &v))
                return err_set(
                        e, ERR_INVALID, "query parameter \"%s\" is a whole number, not \"%s\"", name, text);
        if (v < min || v > max)
                return err_set(e, ERR_INVALID, "query parameter \"%s\" is %s, allowed is %lld to %lld", name,
                        text, (long long)min, (long long)max);
        *ret = v;
        return 0;
}

int target_id(const char *text, const char *what, int64_t *ret, struct err *e)
{
        if (!whole_number(text, ret))
                return err_set(e, ERR_NOT_FOUND, "there is no %s \"%s\"", what, text);
        return 0;
}
