/* The tag tree of DigitalMicrograph 3 and 4, walked once in the order of the file. */
#ifndef CNND_DMTAGS_H
#define CNND_DMTAGS_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DMTAGS_MAX_DEPTH = 32, DMTAGS_MAX_TAGS = 1 << 20, DMTAGS_HEAD_MAX = 16 };

/* Types of elements; 15 (struct), 18 (string) and 20 (array) are resolved before a tag is handed over. */
enum dmtags_type {
        DMTAGS_I16 = 2,
        DMTAGS_I32,
        DMTAGS_U16,
        DMTAGS_U32,
        DMTAGS_F32,
        DMTAGS_F64,
        DMTAGS_BOOL,
        DMTAGS_I8,
        DMTAGS_U8,
        DMTAGS_I64,
        DMTAGS_U64,
        DMTAGS_STRUCT = 15,
        DMTAGS_STRING = 18
};

/* A name of `len` bytes, not terminated; without one, `index` is the place among its siblings. */
struct dmtags_name {
        const char *text;
        size_t len;
        uint64_t index;
};

struct dmtags_tag {
        struct dmtags_name path[DMTAGS_MAX_DEPTH]; /* from the root; the last is the tag's own */
        int depth;
        enum dmtags_type type;       /* of an element */
        const unsigned char *values; /* within the file */
        uint64_t bytes;              /* of all values, within the file */
        bool big_endian;             /* of the values */
};

/* Called for every tag with values; *tag is valid during the call. Not 0 ends the walk with that code. */
typedef int (*dmtags_found)(void *ctx, const struct dmtags_tag *tag, struct err *e);

/* 3 or 4; 0 for bytes that are no such file. */
int dmtags_version(const unsigned char *bytes, size_t len);
/* ERR_SYNTAX for a damaged tree, ERR_TOO_LARGE past the bounds above; allocates nothing. */
int dmtags_walk(const unsigned char *bytes, size_t len, dmtags_found found, void *ctx, struct err *e);

/* Whether the step `i` of the path has this name. */
bool dmtags_is(const struct dmtags_tag *tag, int i, const char *name);
/* The first value as a number; false where it is none. */
bool dmtags_number(const struct dmtags_tag *tag, double *ret);

#endif
