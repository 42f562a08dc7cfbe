#include "daemon/api/numbers.h"

#include <limits.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { DIGITS_MAX = 63, EXACT_DIGITS = 15, EXACT_POWER = 22 };

/* --- cutting --- */

struct cutter {
        const char *text, *p, *end;
        struct err *e;
};

static int fail(const struct cutter *c, const char *what)
{
        return err_set(c->e, ERR_SYNTAX, "%s at byte %zu", what, (size_t)(c->p - c->text));
}

static void skip_blank(struct cutter *c)
{
        while (c->p < c->end && (*c->p == ' ' || *c->p == '\t' || *c->p == '\n' || *c->p == '\r'))
                c->p++;
}

/* From a quote to behind the one that ends it. */
static int skip_string(struct cutter *c, bool *ret_escapes)
{
        *ret_escapes = false;
        for (c->p++; c->p < c->end && *c->p != '"'; c->p++)
                if (*c->p == '\\') {
                        *ret_escapes = true;
                        c->p++;
                }
        if (c->p >= c->end)
                return err_set(c->e, ERR_SYNTAX, "string without end");
        c->p++;
        return 0;
}

/* From a bracket to behind the one that ends it. */
static int skip_numbers(struct cutter *c)
{
        static const bool known[UCHAR_MAX + 1] = {['0'] = true,
                ['1'] = true,
                ['2'] = true,
                ['3'] = true,
                ['4'] = true,
                ['5'] = true,
                ['6'] = true,
                ['7'] = true,
                ['8'] = true,
                ['9'] = true,
                ['.'] = true,
                [','] = true,
                ['-'] = true,
                ['+'] = true,
                ['e'] = true,
                ['E'] = true,
                [' '] = true,
                ['\t'] = true,
                ['\r'] = true,
                ['\n'] = true};
        int depth = 0;
        for (; c->p < c->end; c->p++) {
                if (*c->p == '[') {
                        depth++;
                } else if (*c->p == ']') {
                        if (--depth == 0) {
                                c->p++;
                                return 0;
                        }
                } else if (!known[(unsigned char)*c->p]) {
                        return fail(c, "not a number");
                }
        }
        return err_set(c->e, ERR_SYNTAX, "array without end");
}

static int cut_value(struct cutter *c, const char *key, struct numbers_cut *to)
{
        const char *from = c->p;
        if (c->p >= c->end || *c->p != '[')
                return err_set(c->e, ERR_SYNTAX, "\"%s\" must be an array of numbers, at byte %zu", key,
                        (size_t)(c->p - c->text));
        if (to->count == NUMBERS_MAX_SPANS)
                return err_set(c->e, ERR_TOO_LARGE, "more than %d fields \"%s\"", NUMBERS_MAX_SPANS, key);
        int rc = skip_numbers(c);
        if (rc)
                return rc;
        const size_t at = (size_t)(from - c->text), len = (size_t)(c->p - from);
        memset(to->rest.data + at, ' ', len);
        to->rest.data[at] = (char)('0' + to->count);
        to->span[to->count++] = (struct numbers_span){from, len, at};
        return 0;
}

int numbers_cut(const char *text, size_t len, const char *key, struct numbers_cut *ret, struct err *e)
{
        struct cutter c = {text, text, text + len, e};
        int rc = 0;
        *ret = (struct numbers_cut){0};
        str_add_bytes(&ret->rest, text, len);
        if (ret->rest.failed)
                return err_set(e, ERR_NO_MEMORY, "no memory for %zu bytes of JSON", len);
        while (rc == 0 && c.p < c.end) {
                const char *from = c.p;
                bool escapes;
                if (*c.p != '"') {
                        c.p++;
                        continue;
                }
                rc = skip_string(&c, &escapes);
                const size_t n = (size_t)(c.p - from);
                if (rc == 0)
                        skip_blank(&c);
                if (rc || c.p >= c.end || *c.p != ':')
                        continue;
                c.p++;
                skip_blank(&c);
                if (escapes)
                        rc = fail(&c, "a key with an escape");
                else if (n == strlen(key) + 2 && memcmp(from + 1, key, n - 2) == 0)
                        rc = cut_value(&c, key, ret);
        }
        return rc;
}

/* --- reading --- */

struct reader {
        struct cutter c;
        const int64_t *shape;
        int dims;
        enum numbers_type type;
        unsigned char *out;
        size_t done;
};

/* Digits into *v, as long as they are exact; counts them. */
static int take_digits(struct cutter *c, uint64_t *v, int *count)
{
        const char *from = c->p;
        for (; c->p < c->end && *c->p >= '0' && *c->p <= '9'; c->p++)
                if (*v || *c->p != '0') {
                        if (++*count <= EXACT_DIGITS)
                                *v = *v * 10 + (uint64_t)(*c->p - '0');
                }
        return c->p > from ? 0 : fail(c, "digit expected");
}

static bool take(struct cutter *c, char ch)
{
        if (c->p >= c->end || *c->p != ch)
                return false;
        c->p++;
        return true;
}

/* What JSON calls a number. Few digits and a small power of ten are exact as doubles, and so is their product
   rounded once (Clinger, How to read floating point numbers accurately, 1990). */
static int take_number(struct cutter *c, double *ret)
{
        static const double powers[EXACT_POWER + 1] = {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10,
                1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
        const char *from = c->p;
        uint64_t v = 0;
        int count = 0, power = 0, rc = 0;
        bool minus = take(c, '-'), exponent = false;
        if (!take(c, '0'))
                rc = take_digits(c, &v, &count);
        if (rc == 0 && take(c, '.')) {
                const char *point = c->p;
                rc = take_digits(c, &v, &count);
                power = -(int)(c->p - point < DIGITS_MAX ? c->p - point : DIGITS_MAX);
        }
        if (rc == 0 && (take(c, 'e') || take(c, 'E'))) {
                uint64_t unused = 0;
                int digits = 0;
                if (!take(c, '-'))
                        take(c, '+');
                rc = take_digits(c, &unused, &digits);
                exponent = true;
        }
        if (rc)
                return rc;
        char text[DIGITS_MAX + 1];
        const size_t n = (size_t)(c->p - from);
        if (n > DIGITS_MAX)
                return fail(c, "number of more than 63 characters");
        if (!exponent && count <= EXACT_DIGITS && power >= -EXACT_POWER) {
                const double sum = (double)v / powers[-power];
                *ret = minus ? -sum : sum;
                return 0;
        }
        memcpy(text, from, n);
        text[n] = '\0';
        *ret = strtod(text, NULL);
        return 0;
}

static int store(struct reader *r, double v, struct err *e)
{
        const double top = r->type == NUMBERS_UINT8 ? UINT8_MAX : UINT16_MAX;
        if (r->type == NUMBERS_FP32) {
                const float f = (float)v;
                if (!isfinite(f))
                        return err_set(e, ERR_INVALID, "value %zu, %g, is beyond FP32", r->done, v);
                memcpy(r->out + r->done * sizeof f, &f, sizeof f);
        } else if (!(v >= 0 && v <= top && v == floor(v))) {
                return err_set(
                        e, ERR_INVALID, "value %zu, %g, is not a whole number from 0 to %g", r->done, v, top);
        } else if (r->type == NUMBERS_UINT8) {
                r->out[r->done] = (unsigned char)v;
        } else {
                const uint16_t u = (uint16_t)v;
                memcpy(r->out + r->done * sizeof u, &u, sizeof u);
        }
        r->done++;
        return 0;
}

static int read_list(struct reader *r, int level)
{
        struct cutter *c = &r->c;
        const size_t begin = (size_t)(c->p - c->text);
        int64_t count = 0;
        int rc = 0;
        if (!take(c, '['))
                return fail(c, "a list expected");
        skip_blank(c);
        while (rc == 0 && (count || c->p >= c->end || *c->p != ']')) {
                double v = 0;
                if (count == r->shape[level])
                        return err_set(c->e, ERR_INVALID,
                                "the list at byte %zu has more than the %lld items of its shape", begin,
                                (long long)r->shape[level]);
                if (level + 1 < r->dims) {
                        rc = read_list(r, level + 1);
                } else {
                        rc = take_number(c, &v);
                        if (rc == 0)
                                rc = store(r, v, c->e);
                }
                count++;
                skip_blank(c);
                if (rc || !take(c, ','))
                        break;
                skip_blank(c);
        }
        if (rc == 0 && !take(c, ']'))
                rc = fail(c, "',' or ']' expected");
        if (rc == 0 && count != r->shape[level])
                rc = err_set(c->e, ERR_INVALID, "the list at byte %zu has %lld items, its shape says %lld",
                        begin, (long long)count, (long long)r->shape[level]);
        return rc;
}

/* How many lists begin before the first number. */
static int nesting(const struct numbers_span *s)
{
        int depth = 0;
        for (size_t i = 0; i < s->len && strchr("[ \t\r\n", s->text[i]); i++)
                depth += s->text[i] == '[';
        return depth;
}

int numbers_read(const struct numbers_span *s, const int64_t *shape, int dims, enum numbers_type type,
        void *out, struct err *e)
{
        struct reader r = {.c = {s->text - s->at, s->text, s->text + s->len, e},
                .shape = shape,
                .dims = dims,
                .type = type,
                .out = out};
        int64_t all = 1;
        for (int i = 0; i < dims; i++)
                all *= shape[i];
        const int depth = nesting(s);
        if (depth != 1 && depth != dims)
                return err_set(e, ERR_INVALID,
                        "the lists are %d deep: they are to be one, or %d as the shape has it", depth, dims);
        if (depth == 1) {
                r.shape = &all;
                r.dims = 1;
        }
        return read_list(&r, 0);
}
