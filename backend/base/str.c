#include "base/str.h"

#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void str_free(struct str *s)
{
        free(s->data);
        *s = (struct str){0};
}

void str_clear(struct str *s)
{
        s->len = 0;
        if (s->data)
                s->data[0] = '\0';
}

bool str_reserve(struct str *s, size_t len)
{
        if (s->failed)
                return false;
        if (len < s->cap && s->len < s->cap - len)
                return true;
        if (len > SIZE_MAX / 4 || s->len > SIZE_MAX / 4) {
                s->failed = true;
                return false;
        }
        size_t cap = (s->len + len + 1) * 2;
        if (cap < 64)
                cap = 64;
        char *data = realloc(s->data, cap);
        if (!data) {
                s->failed = true;
                return false;
        }
        s->data = data;
        s->cap = cap;
        s->data[s->len] = '\0';
        return true;
}

void str_add_bytes(struct str *s, const void *bytes, size_t len)
{
        if (!str_reserve(s, len))
                return;
        if (len)
                memcpy(s->data + s->len, bytes, len);
        s->len += len;
        s->data[s->len] = '\0';
}

void str_add(struct str *s, const char *text)
{
        str_add_bytes(s, text, strlen(text));
}

void str_addf(struct str *s, const char *fmt, ...)
{
        va_list ap;
        if (!str_reserve(s, 24)) /* a guess that spares most the second turn */
                return;
        size_t room = s->cap - s->len;
        va_start(ap, fmt);
        int n = vsnprintf(s->data + s->len, room, fmt, ap);
        va_end(ap);
        if (n >= 0 && (size_t)n >= room) {
                s->data[s->len] = '\0';
                if (!str_reserve(s, (size_t)n + 1))
                        return;
                va_start(ap, fmt);
                n = vsnprintf(s->data + s->len, (size_t)n + 1, fmt, ap);
                va_end(ap);
        }
        if (n < 0) { /* a number of many digits takes memory */
                s->data[s->len] = '\0';
                s->failed = true;
        } else {
                s->len += (size_t)n;
        }
}

void str_add_float(struct str *s, float v)
{
        char text[40];
        if (!isfinite(v)) {
                str_add(s, "null");
                return;
        }
        for (int digits = 1; digits <= 9; digits++) {
                snprintf(text, sizeof text, "%.*g", digits, (double)v);
                if (strtof(text, NULL) == v)
                        break;
        }
        if (fabsf(v) < 1e7f && v == floorf(v)) /* 40, not 4e+01 */
                snprintf(text, sizeof text, "%.0f", (double)v);
        str_add(s, text);
}

void str_add_double(struct str *s, double v)
{
        char text[40];
        if (!isfinite(v)) {
                str_add(s, "null");
                return;
        }
        for (int digits = 1; digits <= 17; digits++) {
                snprintf(text, sizeof text, "%.*g", digits, v);
                if (strtod(text, NULL) == v)
                        break;
        }
        if (fabs(v) < 1e15 && v == floor(v))
                snprintf(text, sizeof text, "%.0f", v);
        str_add(s, text);
}

void str_add_int(struct str *s, int64_t v)
{
        char text[24], *p = text + sizeof text;
        uint64_t left = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
        do
                *--p = (char)('0' + left % 10);
        while (left /= 10);
        if (v < 0)
                *--p = '-';
        str_add_bytes(s, p, (size_t)(text + sizeof text - p));
}

enum { DIGITS = 9 };

/* The nine digits of v > 0 and its power of ten: d.dddddddd * 10^*ret. */
static void cut_digits(double v, char digits[DIGITS], int *ret)
{
        int power = (int)floor(log10(v));
        int64_t n = llround(v * pow(10, DIGITS - 1 - power));
        if (n < 100000000) { /* log10 was a little too large, here and below: too small */
                power--;
                n = llround(v * pow(10, DIGITS - 1 - power));
        }
        if (n > 999999999) {
                power++;
                n = llround(v * pow(10, DIGITS - 1 - power));
        }
        for (int i = DIGITS - 1; i >= 0; i--, n /= 10)
                digits[i] = (char)('0' + n % 10);
        *ret = power;
}

void str_add_decimal(struct str *s, double v)
{
        char digits[DIGITS];
        int power, count = DIGITS;
        if (!isfinite(v) || v == 0 || fabs(v) < 1e-200 || fabs(v) > 1e200) {
                str_add_double(s, v);
                return;
        }
        if (v < 0)
                str_add(s, "-");
        cut_digits(fabs(v), digits, &power);
        while (count > 1 && digits[count - 1] == '0')
                count--;
        if (power < 0 && power >= -4) {
                str_add_bytes(s, "0.000", (size_t)(1 - power));
                str_add_bytes(s, digits, (size_t)count);
        } else if (power >= 0 && power < DIGITS) {
                const int whole = power + 1;
                str_add_bytes(s, digits, (size_t)whole);
                if (count > whole) {
                        str_add(s, ".");
                        str_add_bytes(s, digits + whole, (size_t)(count - whole));
                }
        } else {
                str_add_bytes(s, digits, 1);
                if (count > 1) {
                        str_add(s, ".");
                        str_add_bytes(s, digits + 1, (size_t)(count - 1));
                }
                str_add(s, "e");
                str_add_int(s, power);
        }
}

size_t str_utf8_len(const void *text, size_t left)
{
        const unsigned char *p = text, first = p[0];
        const size_t n = first < 0x80   ? 1
                         : first < 0xC2 ? 0
                         : first < 0xE0 ? 2
                         : first < 0xF0 ? 3
                         : first < 0xF5 ? 4
                                        : 0;
        const unsigned char low = first == 0xE0   ? 0xA0
                                  : first == 0xF0 ? 0x90
                                                  : 0x80,
                            high = first == 0xED   ? 0x9F
                                   : first == 0xF4 ? 0x8F
                                                   : 0xBF;
        if (n > left || (n > 1 && (p[1] < low || p[1] > high)))
                return 0;
        for (size_t i = 2; i < n; i++)
                if ((p[i] & 0xC0) != 0x80)
                        return 0;
        return n;
}

bool str_is_utf8(const char *text)
{
        const unsigned char *p = (const unsigned char *)text;
        for (size_t n = 1; n && *p; p += n)
                n = str_utf8_len(p, 4);
        return *p == 0;
}

static bool is_plain(unsigned char c)
{
        return c >= 0x20 && c < 0x7F && c != '"' && c != '\\';
}

void str_add_json(struct str *s, const char *text)
{
        str_add(s, "\"");
        for (const unsigned char *p = (const unsigned char *)text; *p;) {
                size_t n = 0;
                while (is_plain(p[n]))
                        n++;
                str_add_bytes(s, p, n);
                p += n;
                if (!*p)
                        break;
                n = str_utf8_len(p, 4);
                if (*p == '"' || *p == '\\')
                        str_addf(s, "\\%c", *p);
                else if (*p == '\n')
                        str_add(s, "\\n");
                else if (*p < 0x20 || *p == 0x7F)
                        str_addf(s, "\\u%04x", *p);
                else if (n == 0)
                        str_add(s, "\xEF\xBF\xBD");
                else
                        str_add_bytes(s, p, n);
                p += n ? n : 1;
        }
        str_add(s, "\"");
}

bool str_to_number(const char *text, double *ret)
{
        char *end = NULL;
        if (!text[0] || text[strspn(text, "0123456789.eE+-")])
                return false;
        const double v = strtod(text, &end);
        if (*end || !isfinite(v))
                return false;
        *ret = v;
        return true;
}

int str_by_text(const void *a, const void *b)
{
        return strcmp(*(const char *const *)a, *(const char *const *)b);
}

char *str_take(struct str *s)
{
        if (!str_reserve(s, 0) || s->failed) {
                str_free(s);
                return NULL;
        }
        char *data = s->data;
        *s = (struct str){0};
        return data;
}
