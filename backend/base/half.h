/* 16-bit floats to 32 bits, exactly. */
#ifndef CNND_HALF_H
#define CNND_HALF_H

#include <stdint.h>
#include <string.h>

/* bfloat16 is the upper half of a float. */
static inline float half_from_bf16(uint16_t bits)
{
        uint32_t wide = (uint32_t)bits << 16;
        float v;
        memcpy(&v, &wide, sizeof v);
        return v;
}

/* IEEE 754 binary16: subnormals, infinities and NaN included. */
static inline float half_from_f16(uint16_t bits)
{
        uint32_t sign = (uint32_t)(bits & 0x8000) << 16, exponent = (bits >> 10) & 31, fraction = bits & 1023;
        uint32_t wide;
        float v;
        if (exponent == 31) {
                wide = sign | 0x7F800000 | fraction << 13;
        } else if (exponent) {
                wide = sign | (exponent + 112) << 23 | fraction << 13;
        } else {
                v = (float)fraction * 0x1p-24f;
                return sign ? -v : v;
        }
        memcpy(&v, &wide, sizeof v);
        return v;
}

#endif
