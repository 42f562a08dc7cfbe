/* Numbers read from bytes in either byte order, at any alignment. */
#ifndef CNND_SPAN_H
#define CNND_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* `size` bytes, at most 8, as an unsigned number. */
static inline uint64_t span_uint(const unsigned char *p, int size, bool big_endian)
{
        uint64_t v = 0;
        for (int i = 0; i < size; i++)
                v = v << 8 | p[big_endian ? i : size - 1 - i];
        return v;
}

static inline int32_t span_i32(const unsigned char *p, bool big_endian)
{
        return (int32_t)(uint32_t)span_uint(p, 4, big_endian);
}

static inline float span_f32(const unsigned char *p, bool big_endian)
{
        uint32_t bits = (uint32_t)span_uint(p, 4, big_endian);
        float v;
        memcpy(&v, &bits, sizeof v);
        return v;
}

static inline double span_f64(const unsigned char *p, bool big_endian)
{
        uint64_t bits = span_uint(p, 8, big_endian);
        double v;
        memcpy(&v, &bits, sizeof v);
        return v;
}

/* Whether [at, at+size) lies within `len` bytes. */
static inline bool span_holds(size_t len, uint64_t at, uint64_t size)
{
        return at <= len && size <= len - at;
}

#endif
