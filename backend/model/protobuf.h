/* The wire format of Protocol Buffers: fields one behind the other, each its number and kind, then a number
   or a length and bytes. Source: https://protobuf.dev/programming-guides/encoding */
#ifndef CNND_PROTOBUF_H
#define CNND_PROTOBUF_H

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Append a field. Want of memory is noted in `s`. */
void protobuf_int(struct str *s, int field, uint64_t value);
void protobuf_float(struct str *s, int field, float value);
void protobuf_bytes(struct str *s, int field, const void *bytes, size_t len);
void protobuf_text(struct str *s, int field, const char *text);
/* A nested message; takes what is in it. */
void protobuf_message(struct str *s, int field, struct str *message);
/* The beginning of a field of `len` bytes, which the caller appends or sends behind it. */
void protobuf_head(struct str *s, int field, uint64_t len);

/* Reading. What is left of a message; all zero is an empty one. */
struct protobuf {
        const char *at;
        size_t len;
};
enum protobuf_kind { PROTOBUF_INT, PROTOBUF_FIXED64, PROTOBUF_BYTES, PROTOBUF_FIXED32 = 5 };
struct protobuf_field {
        int number;
        enum protobuf_kind kind;
        uint64_t value;        /* of numbers: as they are written, so a float is its bits */
        struct protobuf bytes; /* of a text, a message or packed numbers; borrowed */
};
/* Takes the next field off: 1; 0 where there is none; ERR_SYNTAX where the bytes are no field or end within
 * one. */
int protobuf_next(struct protobuf *m, struct protobuf_field *ret, struct err *e);
/* Takes a number off the packed ones. The same. */
int protobuf_packed(struct protobuf *m, uint64_t *ret, struct err *e);
float protobuf_as_float(uint64_t bits);
/* Whether these bytes are that text. */
bool protobuf_is(struct protobuf text, const char *word);

#endif
