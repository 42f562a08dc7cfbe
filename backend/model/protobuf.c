#include "model/protobuf.h"

#include <string.h>

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
        key(s, field, PROTOBUF_INT);
        varint(s, value);
}

void protobuf_float(struct str *s, int field, float value)
{
        uint32_t bits;
        unsigned char out[4];
        memcpy(&bits, &value, sizeof bits);
        for (int i = 0; i < 4; i++)
                out[i] = (unsigned char)(bits >> 8 * i);
        key(s, field, PROTOBUF_FIXED32);
        str_add_bytes(s, out, sizeof out);
}

void protobuf_head(struct str *s, int field, uint64_t len)
{
        key(s, field, PROTOBUF_BYTES);
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

int protobuf_packed(struct protobuf *m, uint64_t *ret, struct err *e)
{
        uint64_t v = 0;
        if (m->len == 0)
                return 0;
        for (size_t n = 0; n < m->len && n < 10; n++) {
                const unsigned char byte = (unsigned char)m->at[n];
                v |= (uint64_t)(byte & 0x7f) << 7 * n;
                if (byte & 0x80)
                        continue;
                m->at += n + 1;
                m->len -= n + 1;
                *ret = v;
                return 1;
        }
        return err_set(e, ERR_SYNTAX, "a number that does not end");
}

static int take_fixed(struct protobuf *m, size_t bytes, uint64_t *ret, struct err *e)
{
        if (m->len < bytes)
                return err_set(e, ERR_SYNTAX, "the message ends within a number");
        *ret = 0;
        for (size_t i = 0; i < bytes; i++)
                *ret |= (uint64_t)(unsigned char)m->at[i] << 8 * i;
        m->at += bytes;
        m->len -= bytes;
        return 1;
}

int protobuf_next(struct protobuf *m, struct protobuf_field *ret, struct err *e)
{
        uint64_t word = 0;
        int rc = protobuf_packed(m, &word, e);
        if (rc <= 0)
                return rc;
        *ret = (struct protobuf_field){.kind = (enum protobuf_kind)(word & 7)};
        if (word >> 3 == 0 || word >> 3 > INT32_MAX >> 2)
                return err_set(e, ERR_SYNTAX, "a field without a number");
        ret->number = (int)(word >> 3);
        switch (word & 7) {
        case PROTOBUF_INT:
                rc = protobuf_packed(m, &ret->value, e);
                return rc ? rc : err_set(e, ERR_SYNTAX, "the message ends within a field");
        case PROTOBUF_FIXED64:
                return take_fixed(m, 8, &ret->value, e);
        case PROTOBUF_FIXED32:
                return take_fixed(m, 4, &ret->value, e);
        case PROTOBUF_BYTES:
                rc = protobuf_packed(m, &word, e);
                if (rc == 1 && word <= m->len) {
                        ret->bytes = (struct protobuf){m->at, (size_t)word};
                        m->at += word;
                        m->len -= (size_t)word;
                        return 1;
                }
                return rc < 0 ? rc : err_set(e, ERR_SYNTAX, "the message ends within a field");
        default:
                return err_set(e, ERR_SYNTAX, "a field of an unknown kind");
        }
}

float protobuf_as_float(uint64_t bits)
{
        const uint32_t low = (uint32_t)bits;
        float v;
        memcpy(&v, &low, sizeof v);
        return v;
}

bool protobuf_is(struct protobuf text, const char *word)
{
        return text.len == strlen(word) && memcmp(text.at, word, text.len) == 0;
}
