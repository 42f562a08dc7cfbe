#include "client/pull.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TOKEN_MOST = 1 << 20, END = 256 /* no byte */ };

void pull_init(struct pull *p, struct path_file *file, uint64_t at)
{
        memset(p, 0, offsetof(struct pull, bytes));
        p->file = file;
        p->begin = at;
}

void pull_finish(struct pull *p)
{
        str_free(&p->token);
}

void pull_seek(struct pull *p, uint64_t at)
{
        p->begin = at;
        p->at = p->len = 0;
        p->depth = 1;
        p->close[0] = ']';
        p->first = true;
}

uint64_t pull_at(const struct pull *p)
{
        return p->begin + p->at;
}

/* The next byte, which stays, or END. */
static int peek(struct pull *p, struct err *e)
{
        if (p->at == p->len) {
                p->begin += p->len;
                p->at = p->len = 0;
                const int64_t n = path_read_at(p->file, p->begin, p->bytes, sizeof p->bytes, e);
                if (n < 0)
                        return (int)n;
                p->len = (size_t)n;
        }
        return p->at < p->len ? (unsigned char)p->bytes[p->at] : END;
}

static void take(struct pull *p, size_t len)
{
        if (p->copy)
                str_add_bytes(p->copy, p->bytes + p->at, len);
        p->at += len;
}

static int peek_past_blanks(struct pull *p, struct err *e)
{
        int b;
        while ((b = peek(p, e)) == ' ' || b == '\t' || b == '\n' || b == '\r')
                take(p, 1);
        return b;
}

/* `b` came in place of what was `expected`. */
static int fail(const struct pull *p, int b, const char *expected, struct err *e)
{
        if (b < 0)
                return b;
        return err_set(
                e, ERR_SYNTAX, "%s at byte %" PRIu64, b == END ? "unexpected end" : expected, pull_at(p));
}

int pull_kind(struct pull *p, struct err *e)
{
        const int b = peek_past_blanks(p, e);
        return b > 0 && b != END && strchr("{[\"-0123456789tfn", b) ? b
                                                                    : fail(p, b, "unexpected character", e);
}

/* How many of the bytes that are there belong to the token; whether the last of them ends it, or what stands
   behind them. `*escaped` tells of the byte before. */
static size_t measure(const struct pull *p, bool text, bool *escaped, bool *ret_ended)
{
        size_t n = 0, left = p->len - p->at;
        for (const char *b = p->bytes + p->at; n < left && !*ret_ended; n++) {
                if (!text && (*ret_ended = strchr(" \t\n\r,:]}", b[n]) != NULL))
                        break;
                *ret_ended = text && b[n] == '"' && !*escaped && p->token.len + n > 0;
                *escaped = text && b[n] == '\\' && !*escaped;
        }
        return n;
}

/* Into p->token, as it is written. Its first byte is there. */
static int read_token(struct pull *p, struct err *e)
{
        const uint64_t begin = pull_at(p);
        const bool text = p->bytes[p->at] == '"';
        bool escaped = false, ended = false;
        str_clear(&p->token);
        for (int b; !ended && (b = peek(p, e)) != END;) {
                if (b < 0)
                        return b;
                const size_t n = measure(p, text, &escaped, &ended);
                str_add_bytes(&p->token, p->bytes + p->at, n);
                take(p, n);
                if (p->token.len > TOKEN_MOST)
                        return err_set(
                                e, ERR_TOO_LARGE, "more than 1 MiB in the value at byte %" PRIu64, begin);
        }
        if (p->token.failed)
                return err_set(e, ERR_NO_MEMORY, "no memory for a value of %zu bytes", p->token.len);
        if (text && !ended)
                return fail(p, END, "", e);
        const int rc = json_check(p->token.data, p->token.len, e);
        return rc ? err_wrap(e, "the value at byte %" PRIu64, begin) : 0;
}

int pull_enter(struct pull *p, struct err *e)
{
        const int b = pull_kind(p, e);
        if (b < 0 || (b != '{' && b != '['))
                return fail(p, b, "'{' or '[' expected", e);
        if (p->depth == JSON_MAX_DEPTH)
                return fail(p, b, "nested deeper than 64", e);
        take(p, 1);
        p->close[p->depth++] = b == '{' ? '}' : ']';
        p->first = true;
        return 0;
}

int pull_next(struct pull *p, struct err *e)
{
        const char close = p->close[p->depth - 1];
        const bool first = p->first;
        int rc, b = peek_past_blanks(p, e);
        p->first = false;
        if (b == close) {
                take(p, 1);
                p->depth--;
                return 0;
        }
        if (!first && b != ',')
                return fail(p, b, close == '}' ? "',' or '}' expected" : "',' or ']' expected", e);
        if (!first) {
                take(p, 1);
                b = peek_past_blanks(p, e);
        }
        if (close == ']')
                return b < 0 ? b : 1;
        if (b != '"')
                return fail(p, b, "string expected", e);
        if ((rc = read_token(p, e)) != 0)
                return rc;
        if ((b = peek_past_blanks(p, e)) != ':')
                return fail(p, b, "':' expected", e);
        take(p, 1);
        return 1;
}

/* The text that p->token spells. */
static int add_text(const struct pull *p, struct str *ret, struct err *e)
{
        const struct str *t = &p->token;
        str_clear(ret);
        if (memchr(t->data, '\\', t->len)) {
                cJSON *text = json_parse(t->data, t->len, e);
                if (!text)
                        return e->code;
                str_add(ret, text->valuestring);
                cJSON_Delete(text);
        } else {
                str_add_bytes(ret, t->data + 1, t->len - 2);
        }
        return ret->failed ? err_set(e, ERR_NO_MEMORY, "no memory for a text of %zu bytes", t->len) : 0;
}

int pull_key(const struct pull *p, struct str *ret, struct err *e)
{
        return add_text(p, ret, e);
}

int pull_skip(struct pull *p, struct err *e)
{
        int rc = pull_kind(p, e);
        if (rc < 0)
                return rc;
        if (rc != '{' && rc != '[')
                return read_token(p, e);
        rc = pull_enter(p, e);
        while (rc == 0 && (rc = pull_next(p, e)) > 0)
                rc = pull_skip(p, e);
        return rc;
}

int pull_number(struct pull *p, double *ret, struct err *e)
{
        const int kind = pull_kind(p, e);
        const bool number = kind == '-' || (kind >= '0' && kind <= '9');
        const int rc = kind < 0 ? kind : number ? read_token(p, e) : pull_skip(p, e);
        if (rc == 0)
                *ret = number ? strtod(p->token.data, NULL) : (double)NAN;
        return rc;
}

int pull_text(struct pull *p, struct str *ret, struct err *e)
{
        const int kind = pull_kind(p, e);
        const int rc = kind < 0 ? kind : kind == '"' ? read_token(p, e) : pull_skip(p, e);
        str_clear(ret);
        return rc == 0 && kind == '"' ? add_text(p, ret, e) : rc;
}

int pull_tree(struct pull *p, cJSON **ret, struct err *e)
{
        struct str text = {0};
        const int kind = pull_kind(p, e);
        const uint64_t begin = pull_at(p);
        if (kind < 0)
                return kind;
        p->copy = &text;
        int rc = pull_skip(p, e);
        p->copy = NULL;
        if (rc == 0 && text.failed)
                rc = err_set(e, ERR_NO_MEMORY, "no memory for a value of %zu bytes", text.len);
        cJSON *tree = rc == 0 ? json_parse(text.data, text.len, e) : NULL;
        if (tree)
                *ret = tree;
        else if (rc == 0)
                rc = err_wrap(e, "the value at byte %" PRIu64, begin);
        str_free(&text);
        return rc;
}

int pull_end(struct pull *p, struct err *e)
{
        const int b = peek_past_blanks(p, e);
        return b == END ? 0 : fail(p, b, "text after the JSON value", e);
}
