#include "model/protobuf.h"

#include <string.h>

enum { VARINT = 0, BYTES = 2, FIXED32 = 5 };

/* Seven bits a byte, the low ones first; all bytes but the last have the eighth. */
static void varint(struct str *s, uint64_t v)
{
        unsigned char out[10];
        size_t n = 0;
        do {
                out[n] = (unsigned char)((v & 0x7f) | (v > 0x7f ? 0x80 : 0));
                v >>= 7;
                n++;
        } while (v);
        str_add_bytes(s, out, n);
}

static void key(struct str *s, int field, int kind)
{
        varint(s, (uint64_t)field << 3 | (uint64_t)kind);
}

void protobuf_int(struct str *s, int field, uint64_t value)
{
        key(s, field, VARINT);
        varint(s, value);
}

void protobuf_float(struct str *s, int field, float value)
{
        uint32_t bits;
        unsigned char out[4];
        memcpy(&bits, &value, sizeof bits);
        for (int i = 0; i < 4; i++)
                out[i] = (unsigned char)(bits >> 8 * i);
        key(s, field, FIXED32);
        str_add_bytes(s, out, sizeof out);
}

void protobuf_head(struct str *s, int field, uint64_t len)
{
        key(s, field, BYTES);
        varint(s, len);
}

void protobuf_bytes(struct str *s, int field, const void *bytes, size_t len)
{
        protobuf_head(s, field, len);
        str_add_bytes(s, bytes, len);
}

void protobuf_text(struct str *s, int field, const char *text)
{
        protobuf_bytes(s, field, text, strlen(text));
}

void protobuf_message(struct str *s, int field, struct str *message)
{
        protobuf_bytes(s, field, message->data ? message->data : "", message->len);
        s->failed = s->failed || message->failed;
        str_free(message);
}
