/* Arrays of numbers in JSON from outside. A cJSON tree would take some hundred bytes for each number, so they
   are cut out of the text first and read into the caller's memory once it is known how many there must be. */
#ifndef CNND_NUMBERS_H
#define CNND_NUMBERS_H

#include "base/err.h"
#include "base/str.h"

#include <stddef.h>
#include <stdint.h>

enum { NUMBERS_MAX_SPANS = 8, NUMBERS_MAX_DIMS = 4 };

struct numbers_span {
        const char
                *text; /* borrowed from the whole; begins with '[' and ends with the ']' that belongs to it */
        size_t len, at; /* where it begins in the whole */
};

struct numbers_cut {
        struct numbers_span span[NUMBERS_MAX_SPANS];
        int count;
        struct str rest; /* owned; the text, with the index of each span in its place, and blanks behind */
};

/* Cuts out what stands behind each key `key`, which must be an array. Only that it holds numbers, commas and
   brackets that match is looked at; the rest is as strict or not as it was, at the same offsets. ERR_SYNTAX
   for other things there and for keys with escapes, ERR_TOO_LARGE for more than NUMBERS_MAX_SPANS. The caller
   frees ret->rest. */
int numbers_cut(const char *text, size_t len, const char *key, struct numbers_cut *ret, struct err *e);

enum numbers_type { NUMBERS_FP32, NUMBERS_UINT8, NUMBERS_UINT16 };

/* Reads one: all numbers in one list, or lists in lists as `shape` (dims of them) says; row-major into `out`.
   A number is read as a double, which becomes the nearest float. ERR_SYNTAX for what is not strict JSON,
   ERR_INVALID for another count or nesting than the shape's, and for a value that the type does not hold:
   beyond the floats, or not whole or out of range. `out` is then half written. */
int numbers_read(const struct numbers_span *s, const int64_t *shape, int dims, enum numbers_type type,
        void *out, struct err *e);

#endif
