#include "data/prepare.h"

#include "data/decoder.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { HALF = 1 << 16 };
#define LOW_SHARE  0.005
#define HIGH_SHARE 0.995

bool prepare_is_bytes(const float *values, size_t count)
{
        for (size_t i = 0; i < count; i++) {
                float v = values[i];
                if (!(v >= 0 && v <= 1) || (float)(int)lrintf(v * 255.0f) / 255.0f != v)
                        return false;
        }
        return true;
}

/* A number in the order of the floats. */
static uint32_t key_of(float v)
{
        uint32_t bits;
        memcpy(&bits, &v, sizeof bits);
        return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

static float value_of(uint32_t key)
{
        uint32_t bits = key & 0x80000000u ? key & 0x7fffffffu : ~key;
        float v;
        memcpy(&v, &bits, sizeof v);
        return v;
}

/* The bin that holds `*rank`, which becomes the rank within it. */
static uint32_t bin_of(const size_t *bins, size_t *rank)
{
        uint32_t i = 0;
        while (i < HALF - 1 && *rank >= bins[i])
                *rank -= bins[i++];
        return i;
}

/* The value of a rank in two passes over the halves of the keys: linear whatever the values. */
static float select_rank(const float *values, size_t count, size_t rank, size_t *bins)
{
        memset(bins, 0, HALF * sizeof *bins);
        for (size_t i = 0; i < count; i++)
                bins[key_of(values[i]) >> 16]++;
        uint32_t high = bin_of(bins, &rank);
        memset(bins, 0, HALF * sizeof *bins);
        for (size_t i = 0; i < count; i++) {
                uint32_t key = key_of(values[i]);
                if (key >> 16 == high)
                        bins[key & (HALF - 1)]++;
        }
        return value_of(high << 16 | bin_of(bins, &rank));
}

int prepare_stretch(float *values, size_t count, struct err *e)
{
        size_t *bins = malloc(HALF * sizeof *bins);
        if (!bins)
                return err_set(e, ERR_NO_MEMORY, "no memory for percentiles");
        double last = (double)(count - 1);
        float low = select_rank(values, count, (size_t)llrint(LOW_SHARE * last), bins);
        float high = select_rank(values, count, (size_t)llrint(HIGH_SHARE * last), bins);
        free(bins);
        /* In double: the span of two floats may be beyond the floats. */
        double span = (double)high - (double)low;
        for (size_t i = 0; i < count; i++) {
                float v = fminf(fmaxf(values[i], low), high);
                values[i] = span > 0 ? (float)(((double)v - (double)low) / span) : 0;
        }
        return 0;
}

int prepare_cut(
        const struct image *from, int frame, int y, int x, int h, int w, struct image *ret, struct err *e)
{
        struct image im;
        size_t row = (size_t)w, plane = (size_t)from->h * (size_t)from->w;
        int rc = image_create(1, (uint64_t)from->c, (uint64_t)h, (uint64_t)w, &im, e);
        if (rc != 0)
                return rc;
        const float *at = from->pixels + (size_t)frame * (size_t)from->c * plane;
        float *to = im.pixels;
        for (int c = 0; c < from->c; c++)
                for (int i = 0; i < h; i++, to += row)
                        memcpy(to, at + (size_t)c * plane + (size_t)(y + i) * (size_t)from->w + (size_t)x,
                                row * sizeof *to);
        *ret = im;
        return 0;
}
