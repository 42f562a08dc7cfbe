/* A growing byte string, and text forms of numbers that read back to the same value. */
#ifndef CNND_STR_H
#define CNND_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Zero-initialised is empty. `data` is NUL-terminated whenever it is not NULL. Allocation failure sets
   `failed` and makes further appends do nothing, so that a caller checks once at the end. */
struct str {
        char *data; /* owned */
        size_t len, cap;
        bool failed;
};

void str_free(struct str *s);
/* Keeps the memory, drops the text. */
void str_clear(struct str *s);
/* Makes room for `len` more bytes; false (and `failed`) when memory is out. */
bool str_reserve(struct str *s, size_t len);
void str_add(struct str *s, const char *text);
void str_add_bytes(struct str *s, const void *bytes, size_t len);
void str_addf(struct str *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The shortest decimal text that strtof reads back to the same float; "null" for NaN and infinities. */
void str_add_float(struct str *s, float v);
/* The same for double. */
void str_add_double(struct str *s, double v);
/* Nine digits at most, which are enough for a float; faster. */
void str_add_decimal(struct str *s, double v);
void str_add_int(struct str *s, int64_t v);
/* `text` as a JSON string with its quotes; bytes that are no UTF-8 become U+FFFD. */
void str_add_json(struct str *s, const char *text);
/* Bytes of the sequence of UTF-8 at `text`, of which `left` may be read (a NUL ends it as well): well-formed
   by RFC 3629, so no overlong form and no surrogate; 0 for none. */
size_t str_utf8_len(const void *text, size_t left);
/* Whether all of it is. */
bool str_is_utf8(const char *text);
/* A finite number, written as people and programs do (0.5, .5, 5e-1, 5E-1), and nothing else: no blank, no
   name, no hexadecimal. *ret is untouched where it is none. */
bool str_to_number(const char *text, double *ret);
/* The order of texts by their bytes, for qsort and bsearch in lists of pointers to them. */
int str_by_text(const void *a, const void *b);
/* Hands the text to the caller, who frees it; the string is empty after. NULL if an append failed. */
char *str_take(struct str *s);

#endif
