#include "client/text.h"
#include "client/port.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The code point at `p` and its length; a byte that begins none is U+FFFD of length 1. */
static uint32_t decode(const unsigned char *p, int *len)
{
        const int n = (int)str_utf8_len(p, 4);
        *len = n ? n : 1;
        if (n < 2)
                return n ? *p : 0xFFFD;
        uint32_t c = *p & 0xFFu >> (n + 1);
        for (int i = 1; i < n; i++)
                c = c << 6 | (p[i] & 0x3F);
        return c;
}

void text_add_clean(struct str *s, const char *text, bool utf8)
{
        int len;
        for (const unsigned char *p = (const unsigned char *)text; *p; p += len) {
                uint32_t c = decode(p, &len);
                bool control = c < 0x20 || (c >= 0x7F && c < 0xA0) || c == 0xFFFD ||
                               (c >= 0x202A && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069);
                if (control || (c >= 0x80 && !utf8))
                        str_add(s, "?");
                else
                        str_add_bytes(s, p, (size_t)len);
        }
}

/* Length in bytes of an escape sequence "ESC [ … letter" at `p`, 0 where there is none. */
static int escape_len(const unsigned char *p)
{
        if (p[0] != 0x1B || p[1] != '[')
                return 0;
        int n = 2;
        while (p[n] && !(p[n] >= 0x40 && p[n] <= 0x7E))
                n++;
        return p[n] ? n + 1 : n;
}

static int columns_of(uint32_t c)
{
        int w = port_width(c);
        return w >= 0 ? w : 1;
}

int text_width(const char *text)
{
        int width = 0, len;
        for (const unsigned char *p = (const unsigned char *)text; *p; p += len) {
                len = escape_len(p);
                if (len == 0)
                        width += columns_of(decode(p, &len));
        }
        return width;
}

void text_add_cut(struct str *s, const char *text, int width, bool utf8)
{
        if (text_width(text) <= width) {
                str_add(s, text);
                return;
        }
        int dots = utf8 || width < 2 ? 1 : 2, room = width - dots, len;
        bool styled = false;
        for (const unsigned char *p = (const unsigned char *)text; *p; p += len) {
                len = escape_len(p);
                styled |= len > 0;
                if (len == 0)
                        room -= columns_of(decode(p, &len));
                if (room < 0)
                        break;
                str_add_bytes(s, p, (size_t)len);
        }
        if (width > 0)
                str_add(s, utf8 ? "…" : dots == 2 ? ".." : ".");
        if (styled)
                str_add(s, "\x1b[0m");
}

struct text text_count(double n)
{
        struct text t = {""}, digits;
        if (!isfinite(n) || fabs(n) >= 1e18)
                return t;
        int len = snprintf(digits.s, sizeof digits.s, "%.0f", n), at = 0;
        for (int i = 0; i < len; i++) {
                t.s[at++] = digits.s[i];
                if (digits.s[i] != '-' && i + 1 < len && (len - i - 1) % 3 == 0)
                        t.s[at++] = ',';
        }
        return t;
}

static struct text scaled(double n, double base, const char *const *units, int count)
{
        struct text t = {""};
        int u = 0;
        if (!isfinite(n))
                return t;
        /* 999.5 would print as 1000 of the smaller unit. */
        while (u + 1 < count && fabs(n) >= 999.5) {
                n /= base;
                u++;
        }
        int decimals = u == 0 || fabs(n) >= 99.95 ? 0 : fabs(n) >= 9.995 ? 1 : 2;
        snprintf(t.s, sizeof t.s, "%.*f%s", decimals, n, units[u]);
        return t;
}

struct text text_si(double n)
{
        static const char *const units[] = {"", " k", " M", " G", " T", " P", " E"};
        return scaled(n, 1000, units, 7);
}

struct text text_bytes(double n)
{
        static const char *const units[] = {" B", " KiB", " MiB", " GiB", " TiB", " PiB"};
        return scaled(n, 1024, units, 6);
}

struct text text_percent(double fraction)
{
        struct text t = {""};
        if (isfinite(fraction))
                snprintf(t.s, sizeof t.s, "%.1f %%", fraction * 100);
        return t;
}

struct text text_loss(double v)
{
        struct text t = {""};
        if (!isfinite(v))
                return t;
        double a = fabs(v);
        if (a != 0 && (a < 1e-3 || a >= 1e5))
                snprintf(t.s, sizeof t.s, "%.2e", v);
        else
                snprintf(t.s, sizeof t.s, "%.*f", a < 10 ? 4 : a < 100 ? 3 : a < 1000 ? 2 : 1, v);
        return t;
}

struct text text_number(double v)
{
        struct text t = {"nan"};
        if (!isfinite(v))
                return t;
        if (v == floor(v) && fabs(v) < 1e15) {
                snprintf(t.s, sizeof t.s, "%.0f", v);
                return t;
        }
        for (int digits = 1; digits <= 17; digits++) {
                snprintf(t.s, sizeof t.s, "%.*g", digits, v);
                if (strtod(t.s, NULL) == v)
                        break;
        }
        return t;
}

struct text text_duration(double seconds)
{
        struct text t = {""};
        if (!isfinite(seconds) || seconds < 0 || seconds > 1e10)
                return t;
        long long s = llround(seconds);
        if (s < 3600)
                snprintf(t.s, sizeof t.s, "%lld:%02lld", s / 60, s % 60);
        else if (s < 86400)
                snprintf(t.s, sizeof t.s, "%lld:%02lld:%02lld", s / 3600, s / 60 % 60, s % 60);
        else
                snprintf(t.s, sizeof t.s, "%lld d %02lld h", s / 86400, s / 3600 % 24);
        return t;
}

/* Days since 1970 in the Gregorian calendar; a year is counted from March, so that the leap day ends it. */
static double days_of(int year, int month, int day)
{
        int y = month > 2 ? year : year - 1, m = month > 2 ? month - 3 : month + 9;
        return 365.0 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 719469;
}

double text_time(const char *rfc3339)
{
        int year, month, day, hour, minute, at = 0;
        double second;
        char *end;
        if (!rfc3339 ||
                sscanf(rfc3339, "%4d-%2d-%2dT%2d:%2d:%n", &year, &month, &day, &hour, &minute, &at) != 5 ||
                rfc3339[at] < '0' || rfc3339[at] > '9')
                return NAN;
        second = strtod(rfc3339 + at, &end);
        bool valid = at == 17 && year >= 1 && month >= 1 && month <= 12 && day >= 1 && day <= 31 &&
                     hour >= 0 && hour <= 23 && minute >= 0 && minute <= 59 && second < 61 &&
                     strcmp(end, "Z") == 0;
        return valid ? days_of(year, month, day) * 86400 + hour * 3600 + minute * 60 + second : (double)NAN;
}

struct text text_age(double when, double now)
{
        struct text t = {""};
        double s = now - when;
        if (!isfinite(s))
                return t;
        if (s < 60)
                snprintf(t.s, sizeof t.s, "just now");
        else if (s < 3600)
                snprintf(t.s, sizeof t.s, "%.0f min ago", floor(s / 60));
        else if (s < 86400)
                snprintf(t.s, sizeof t.s, "%.0f h ago", floor(s / 3600));
        else
                snprintf(t.s, sizeof t.s, "%.0f d ago", floor(s / 86400));
        return t;
}
