#include "data/sample.h"

#include "base/half.h"
#include "data/span.h"

static float signed_of(uint64_t bits, int bytes)
{
        /* Up to the top and down again copies the sign. */
        int shift = 64 - 8 * bytes;
        return (float)((int64_t)(bits << shift) >> shift);
}

static float float_of(const struct sample *s, const unsigned char *p)
{
        if (s->bytes == 2)
                return half_from_f16((uint16_t)span_uint(p, 2, s->big_endian));
        return s->bytes == 4 ? span_f32(p, s->big_endian) : (float)span_f64(p, s->big_endian);
}

/* A loop of its own where files are large. */
void sample_read(const struct sample *s, const unsigned char *from, size_t stride, size_t count, float *to)
{
        if (s->kind == SAMPLE_FLOAT)
                for (size_t i = 0; i < count; i++)
                        to[i] = float_of(s, from + i * stride);
        else if (s->kind == SAMPLE_INT)
                for (size_t i = 0; i < count; i++)
                        to[i] = signed_of(span_uint(from + i * stride, s->bytes, s->big_endian), s->bytes);
        else if (s->bytes == 1)
                for (size_t i = 0; i < count; i++)
                        to[i] = (float)from[i * stride] / 255.0f;
        else if (s->bytes == 2)
                for (size_t i = 0; i < count; i++)
                        to[i] = (float)span_uint(from + i * stride, 2, s->big_endian) / 65535.0f;
        else
                for (size_t i = 0; i < count; i++)
                        to[i] = (float)span_uint(from + i * stride, s->bytes, s->big_endian);
}

void sample_unpack(const unsigned char *from, int bits, size_t skip, size_t step, size_t count, float *to)
{
        float most = (float)((1 << bits) - 1);
        for (size_t i = 0; i < count; i++) {
                size_t at = (skip + i * step) * (size_t)bits, byte = at / 8, end = at + (size_t)bits;
                unsigned v = 0, have = 0;
                for (; byte * 8 < end; byte++, have += 8)
                        v = v << 8 | from[byte];
                v >>= have - (unsigned)(at % 8) - (unsigned)bits;
                to[i] = (float)(v & ((1u << bits) - 1)) / most;
        }
}
