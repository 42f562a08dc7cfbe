#include "base/json.h"
#include "base/str.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { POINTER_MAX = 192, SHOWN = 24 };

/* The strict check: a recursive descent over the bytes that builds nothing. */
struct scan {
        const unsigned char *text, *p, *end;
        size_t left; /* values and keys that may still come */
        struct err *e;
};

static bool is_blank(unsigned char c)
{
        return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* What other languages and word processors write in JSON's place; "" for anything else. */
static const char *hint(const struct scan *s)
{
        static const struct {
                const char *text, *hint;
        } habits[] = {
                {"True", " (JSON writes true)"},
                {"False", " (JSON writes false)"},
                {"None", " (JSON writes null; a field that is to have its default is left out)"},
                {"NaN", " (JSON has no NaN)"},
                {"Infinity", " (JSON has no infinity)"},
                {"'", " (JSON wants \"double quotes\")"},
                {"\xe2\x80\x9c", " (JSON wants plain \"double quotes\")"},
                {"\xe2\x80\x9d", " (JSON wants plain \"double quotes\")"},
                {"\xc2\xa0", " (a blank of a word processor, U+00A0)"},
                {".", " (a number begins with a digit)"},
                {"#", " (JSON has no comments)"},
                {"//", " (JSON has no comments)"},
                {"\xef\xbb\xbf", " (a byte order mark: save it without one)"},
                {"\xff\xfe", " (UTF-16: save it as UTF-8)"},
        };
        for (size_t i = 0; i < sizeof habits / sizeof habits[0]; i++) {
                size_t n = strlen(habits[i].text);
                if ((size_t)(s->end - s->p) >= n && memcmp(s->p, habits[i].text, n) == 0)
                        return habits[i].hint;
        }
        const unsigned char *back = s->p;
        while (back > s->text && is_blank(back[-1]))
                back--;
        bool closes = s->p < s->end && (*s->p == '}' || *s->p == ']');
        return closes && back > s->text && back[-1] == ',' ? " (the comma before it is one too many)" : "";
}

/* The end of what was good, for bytes are hard to count. It was looked at, so that it is UTF-8. */
static void text_before(const struct scan *s, char out[SHOWN + 1])
{
        const unsigned char *from = s->p - s->text > SHOWN ? s->p - SHOWN : s->text;
        while (from < s->p && (*from & 0xC0) == 0x80)
                from++;
        size_t n = 0;
        for (; from < s->p; from++)
                out[n++] = is_blank(*from) ? ' ' : (char)*from;
        out[n] = '\0';
}

static bool scan_fail(struct scan *s, const char *what)
{
        char before[SHOWN + 1];
        text_before(s, before);
        err_set(s->e, ERR_SYNTAX, "%s at byte %zu%s%s%s", what, (size_t)(s->p - s->text), hint(s),
                before[0] ? ", behind: " : "", before);
        return false;
}

static bool scan_one(struct scan *s)
{
        if (s->left-- > 0)
                return true;
        err_set(s->e, ERR_TOO_LARGE, "too many values, at byte %zu", (size_t)(s->p - s->text));
        return false;
}

static void scan_blank(struct scan *s)
{
        while (s->p < s->end && is_blank(*s->p))
                s->p++;
}

static bool scan_word(struct scan *s, const char *word)
{
        size_t n = strlen(word);
        if ((size_t)(s->end - s->p) < n || memcmp(s->p, word, n) != 0)
                return scan_fail(s, "unexpected character");
        s->p += n;
        return true;
}

static bool scan_digits(struct scan *s)
{
        if (s->p >= s->end || !isdigit(*s->p))
                return scan_fail(s, "digit expected");
        while (s->p < s->end && isdigit(*s->p))
                s->p++;
        return true;
}

/* Of the digits, not of the double: the number after 2^53 is rounded to 2^53. */
static bool past_whole(const char *digits)
{
        long long v = strtoll(digits, NULL, 10);
        return v > (long long)JSON_WHOLE_MAX || v < -(long long)JSON_WHOLE_MAX;
}

static bool scan_number(struct scan *s)
{
        const unsigned char *from = s->p;
        bool whole = true;
        if (*s->p == '-')
                s->p++;
        if (s->p < s->end && *s->p == '0')
                s->p++;
        else if (!scan_digits(s))
                return false;
        if (s->p < s->end && *s->p == '.') {
                whole = false;
                s->p++;
                if (!scan_digits(s))
                        return false;
        }
        if (s->p < s->end && (*s->p == 'e' || *s->p == 'E')) {
                whole = false;
                s->p++;
                if (s->p < s->end && (*s->p == '+' || *s->p == '-'))
                        s->p++;
                if (!scan_digits(s))
                        return false;
        }
        char digits[64];
        size_t n = (size_t)(s->p - from);
        if (n >= sizeof digits)
                return scan_fail(s, "number of more than 63 characters");
        memcpy(digits, from, n);
        digits[n] = '\0';
        double v = strtod(digits, NULL);
        if (!isfinite(v))
                return scan_fail(s, "number out of range");
        if (whole && past_whole(digits))
                return scan_fail(s, "whole number beyond 2^53");
        return true;
}

static int hex4(const unsigned char *p, const unsigned char *end)
{
        int v = 0;
        if (end - p < 4)
                return -1;
        for (int i = 0; i < 4; i++) {
                if (!isxdigit(p[i]))
                        return -1;
                v = v * 16 + (isdigit(p[i]) ? p[i] - '0' : tolower(p[i]) - 'a' + 10);
        }
        return v;
}

static bool scan_escape(struct scan *s)
{
        s->p++;
        if (s->p >= s->end || *s->p == '\0' || !strchr("\"\\/bfnrtu", *s->p))
                return scan_fail(s, "bad escape");
        if (*s->p != 'u') {
                s->p++;
                return true;
        }
        int unit = hex4(s->p + 1, s->end);
        if (unit < 0)
                return scan_fail(s, "bad \\u escape");
        if (unit == 0)
                return scan_fail(s, "\\u0000 in a string");
        s->p += 5;
        if (unit >= 0xDC00 && unit <= 0xDFFF)
                return scan_fail(s, "lone surrogate");
        if (unit < 0xD800 || unit > 0xDBFF)
                return true;
        int low = s->end - s->p >= 6 && s->p[0] == '\\' && s->p[1] == 'u' ? hex4(s->p + 2, s->end) : -1;
        if (low < 0xDC00 || low > 0xDFFF)
                return scan_fail(s, "lone surrogate");
        s->p += 6;
        return true;
}

static bool scan_string(struct scan *s)
{
        if (s->p >= s->end || *s->p != '"')
                return scan_fail(s, "string expected");
        s->p++;
        while (s->p < s->end && *s->p != '"') {
                if (*s->p < 0x20)
                        return scan_fail(s, "control character in a string");
                if (*s->p == '\\') {
                        if (!scan_escape(s))
                                return false;
                } else {
                        const size_t n = *s->p < 0x80 ? 1 : str_utf8_len(s->p, (size_t)(s->end - s->p));
                        if (n == 0)
                                return scan_fail(s, "invalid UTF-8");
                        s->p += n;
                }
        }
        if (s->p >= s->end)
                return scan_fail(s, "string without end");
        s->p++;
        return true;
}

static bool scan_value(struct scan *s, int depth);

static bool scan_members(struct scan *s, int depth, char close)
{
        bool object = close == '}';
        s->p++;
        scan_blank(s);
        if (s->p < s->end && *s->p == close) {
                s->p++;
                return true;
        }
        for (;;) {
                scan_blank(s);
                if (object) {
                        if (!scan_one(s) || !scan_string(s))
                                return false;
                        scan_blank(s);
                        if (s->p >= s->end || *s->p != ':')
                                return scan_fail(s, "':' expected");
                        s->p++;
                }
                if (!scan_value(s, depth))
                        return false;
                scan_blank(s);
                if (s->p < s->end && *s->p == close) {
                        s->p++;
                        return true;
                }
                if (s->p >= s->end || *s->p != ',')
                        return scan_fail(s, object ? "',' or '}' expected" : "',' or ']' expected");
                s->p++;
        }
}

static bool scan_value(struct scan *s, int depth)
{
        scan_blank(s);
        if (s->p >= s->end)
                return scan_fail(s, "unexpected end");
        if (!scan_one(s))
                return false;
        switch (*s->p) {
        case '{':
        case '[':
                if (depth >= JSON_MAX_DEPTH)
                        return scan_fail(s, "nested deeper than 64");
                return scan_members(s, depth + 1, *s->p == '{' ? '}' : ']');
        case '"':
                return scan_string(s);
        case 't':
                return scan_word(s, "true");
        case 'f':
                return scan_word(s, "false");
        case 'n':
                return scan_word(s, "null");
        default:
                if (*s->p == '-' || isdigit(*s->p))
                        return scan_number(s);
                return scan_fail(s, "unexpected character");
        }
}

static int compare_keys(const void *a, const void *b)
{
        return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Keys can be compared only after their escapes are resolved, so on the tree. */
static bool keys_differ(const cJSON *tree, struct err *e)
{
        const cJSON *child;
        size_t n = 0, i = 0;
        cJSON_ArrayForEach(child, tree)
        {
                if ((cJSON_IsObject(child) || cJSON_IsArray(child)) && !keys_differ(child, e))
                        return false;
                n++;
        }
        if (!cJSON_IsObject(tree) || n < 2)
                return true;
        char **keys = malloc(n * sizeof *keys);
        if (!keys) {
                err_set(e, ERR_NO_MEMORY, "no memory for %zu keys", n);
                return false;
        }
        cJSON_ArrayForEach(child, tree) keys[i++] = child->string;
        qsort(keys, n, sizeof *keys, compare_keys);
        bool ok = true;
        for (i = 1; i < n && ok; i++)
                if (strcmp(keys[i - 1], keys[i]) == 0) {
                        err_set(e, ERR_SYNTAX, "the key \"%.80s\" appears twice in one object", keys[i]);
                        ok = false;
                }
        free(keys);
        return ok;
}

cJSON *json_parse(const char *text, size_t len, struct err *e)
{
        return json_parse_most(text, len, SIZE_MAX, e);
}

/* Whether it is one value of at most so many values and keys. */
static bool scan_all(const char *text, size_t len, size_t most, struct err *e)
{
        struct scan s = {(const unsigned char *)text, (const unsigned char *)text,
                (const unsigned char *)text + len, most, e};
        if (!scan_value(&s, 0))
                return false;
        scan_blank(&s);
        return s.p == s.end || scan_fail(&s, "text after the JSON value");
}

int json_check(const char *text, size_t len, struct err *e)
{
        return scan_all(text, len, SIZE_MAX, e) ? 0 : ERR_SYNTAX;
}

cJSON *json_parse_most(const char *text, size_t len, size_t most, struct err *e)
{
        if (!scan_all(text, len, most, e))
                return NULL;
        cJSON *tree = cJSON_ParseWithLength(text, len);
        if (!tree) {
                err_set(e, ERR_NO_MEMORY, "no memory to parse %zu bytes of JSON", len);
                return NULL;
        }
        if (!keys_differ(tree, e)) {
                cJSON_Delete(tree);
                return NULL;
        }
        return tree;
}

const cJSON *json_field(const cJSON *obj, const char *key)
{
        return cJSON_GetObjectItemCaseSensitive(obj, key);
}

/* at/key with RFC 6901's escapes. */
static const char *pointer_to(char *out, const char *at, const char *key)
{
        size_t n = (size_t)snprintf(out, POINTER_MAX, "%s/", at);
        for (; *key && n + 3 < POINTER_MAX; key++) {
                if (*key == '~' || *key == '/') {
                        out[n++] = '~';
                        out[n++] = *key == '~' ? '0' : '1';
                } else {
                        out[n++] = *key;
                }
        }
        out[n < POINTER_MAX ? n : POINTER_MAX - 1] = '\0';
        return out;
}

int json_is_object(const cJSON *obj, const char *at, struct err *e)
{
        if (cJSON_IsObject(obj))
                return 0;
        return err_at(e, ERR_INVALID, at, "an object is expected here");
}

int json_need(const cJSON *obj, const char *key, const char *at, struct err *e)
{
        char pointer[POINTER_MAX];
        if (json_field(obj, key))
                return 0;
        return err_at(e, ERR_INVALID, pointer_to(pointer, at, key), "\"%s\" is missing", key);
}

bool json_listed(const char *keys, const char *key)
{
        size_t n = strlen(key);
        for (const char *p = keys; n && (p = strstr(p, key)) != NULL; p += n)
                if ((p == keys || p[-1] == ' ') && (p[n] == '\0' || p[n] == ' ') && !strchr(key, ' '))
                        return true;
        return false;
}

int json_only(const cJSON *obj, const char *keys, const char *at, struct err *e)
{
        char pointer[POINTER_MAX];
        const cJSON *child;
        cJSON_ArrayForEach(child, obj)
        {
                if (!json_listed(keys, child->string))
                        return err_at(e, ERR_INVALID, pointer_to(pointer, at, child->string),
                                "unknown field \"%.80s\"; known are: %s", child->string, keys);
        }
        return 0;
}

int json_get_number(
        const cJSON *obj, const char *key, double min, double max, const char *at, double *ret, struct err *e)
{
        char pointer[POINTER_MAX];
        const cJSON *v = json_field(obj, key);
        if (!v)
                return 0;
        if (!cJSON_IsNumber(v))
                return err_at(e, ERR_INVALID, pointer_to(pointer, at, key), "\"%s\" must be a number", key);
        if (!(v->valuedouble >= min && v->valuedouble <= max))
                return err_at(e, ERR_INVALID, pointer_to(pointer, at, key),
                        "\"%s\" is %g, allowed is %g to %g", key, v->valuedouble, min, max);
        *ret = v->valuedouble;
        return 0;
}

int json_get_int(const cJSON *obj, const char *key, int64_t min, int64_t max, const char *at, int64_t *ret,
        struct err *e)
{
        char pointer[POINTER_MAX];
        const cJSON *v = json_field(obj, key);
        if (!v)
                return 0;
        if (!cJSON_IsNumber(v) || v->valuedouble != floor(v->valuedouble))
                return err_at(
                        e, ERR_INVALID, pointer_to(pointer, at, key), "\"%s\" must be a whole number", key);
        if (v->valuedouble < (double)min || v->valuedouble > (double)max)
                return err_at(e, ERR_INVALID, pointer_to(pointer, at, key),
                        "\"%s\" is %.0f, allowed is %lld to %lld", key, v->valuedouble, (long long)min,
                        (long long)max);
        *ret = (int64_t)v->valuedouble;
        return 0;
}

int json_get_bool(const cJSON *obj, const char *key, const char *at, bool *ret, struct err *e)
{
        char pointer[POINTER_MAX];
        const cJSON *v = json_field(obj, key);
        if (!v)
                return 0;
        if (!cJSON_IsBool(v))
                return err_at(
                        e, ERR_INVALID, pointer_to(pointer, at, key), "\"%s\" must be true or false", key);
        *ret = cJSON_IsTrue(v);
        return 0;
}

int json_get_string(
        const cJSON *obj, const char *key, size_t max_len, const char *at, const char **ret, struct err *e)
{
        char pointer[POINTER_MAX];
        const cJSON *v = json_field(obj, key);
        if (!v)
                return 0;
        if (!cJSON_IsString(v))
                return err_at(e, ERR_INVALID, pointer_to(pointer, at, key), "\"%s\" must be a string", key);
        size_t n = strlen(v->valuestring);
        if (n == 0 || n > max_len)
                return err_at(e, ERR_INVALID, pointer_to(pointer, at, key),
                        "\"%s\" has %zu bytes, allowed are 1 to %zu", key, n, max_len);
        *ret = v->valuestring;
        return 0;
}
