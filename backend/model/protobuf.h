/* The wire format of Protocol Buffers, for writing: fields one behind the other, each its number and kind,
   then a number or a length and bytes. Source: https://protobuf.dev/programming-guides/encoding */
#ifndef CNND_PROTOBUF_H
#define CNND_PROTOBUF_H

#include "base/str.h"

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

#endif
