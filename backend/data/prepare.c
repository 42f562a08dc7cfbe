#include "data/prepare.h"

#include "data/decoder.h"
#include "data/scale.h"

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

/* The values of two ranks in two passes over the halves of the keys: linear whatever the values. `bins`: 2 *
 * HALF. */
static void select_ranks(const float *values, size_t count, size_t ranks[2], size_t *bins, float ret[2])
{
        uint32_t high[2];
        memset(bins, 0, HALF * sizeof *bins);
        for (size_t i = 0; i < count; i++)
                bins[key_of(values[i]) >> 16]++;
        for (int k = 0; k < 2; k++)
                high[k] = bin_of(bins, &ranks[k]);
        memset(bins, 0, 2 * HALF * sizeof *bins);
        for (size_t i = 0; i < count; i++) {
                uint32_t key = key_of(values[i]);
                for (int k = 0; k < 2; k++)
                        if (key >> 16 == high[k])
                                bins[k * HALF + (int)(key & (HALF - 1))]++;
        }
        for (int k = 0; k < 2; k++)
                ret[k] = value_of(high[k] << 16 | bin_of(bins + k * HALF, &ranks[k]));
}

int prepare_stretch(float *values, size_t count, struct err *e)
{
        size_t *bins = malloc(2 * HALF * sizeof *bins);
        if (!bins)
                return err_set(e, ERR_NO_MEMORY, "no memory for percentiles");
        double last = (double)(count - 1);
        size_t ranks[2] = {(size_t)llrint(LOW_SHARE * last), (size_t)llrint(HIGH_SHARE * last)};
        float ends[2];
        select_ranks(values, count, ranks, bins, ends);
        free(bins);
        const float low = ends[0], high = ends[1];
        /* In double: the span of two floats may be beyond the floats. */
        double span = (double)high - (double)low;
        for (size_t i = 0; i < count; i++) {
                float v = fminf(fmaxf(values[i], low), high);
                values[i] = span > 0 ? (float)(((double)v - (double)low) / span) : 0;
        }
        return 0;
}

void prepare_standardize(float *values, size_t count)
{
        double sum = 0, squares = 0;
        for (size_t i = 0; i < count; i++)
                sum += (double)values[i];
        double mean = sum / (double)count;
        for (size_t i = 0; i < count; i++)
                squares += ((double)values[i] - mean) * ((double)values[i] - mean);
        double deviation = sqrt(squares / (double)count);
        for (size_t i = 0; i < count; i++)
                values[i] = deviation > 0 ? (float)(((double)values[i] - mean) / deviation) : 0;
}

void prepare_round(float *values, size_t count)
{
        for (size_t i = 0; i < count; i++)
                values[i] = (float)lrintf(fminf(fmaxf(values[i], 0), 1) * 255.0f) / 255.0f;
}

int prepare_image(struct image *im, const struct recipe *r, bool strict, bool *ret_bytes, struct err *e)
{
        size_t c = (size_t)im->c;
        bool came = prepare_is_bytes(im->pixels, (size_t)im->n * c * (size_t)im->h * (size_t)im->w);
        int rc = 0;
        if (r->pixel_nm > 0 && (strict || im->unit != IMAGE_UNKNOWN))
                rc = scale_to_pixel(im, r->pixel_nm, e);
        size_t frame = c * (size_t)im->h * (size_t)im->w;
        for (int i = 0; rc == 0 && i < im->n; i++) {
                float *values = im->pixels + (size_t)i * frame;
                if (!came && r->values != RECIPE_KEEP)
                        rc = prepare_stretch(values, frame, e);
                if (rc == 0 && r->values == RECIPE_PER_IMAGE)
                        prepare_standardize(values, frame);
        }
        *ret_bytes = came && r->values != RECIPE_PER_IMAGE;
        return rc;
}

static int cut(
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

int prepare_part(const struct image *im, int frame, int y, int x, int h, int w, const struct recipe *r, int c,
        bool bytes, struct image *ret, struct err *e)
{
        struct image part;
        int rc = cut(im, frame, y, x, h, w, &part, e);
        if (rc != 0)
                return rc;
        rc = image_fit(&part, c, r->h, r->w, e);
        if (rc != 0) {
                image_finish(&part);
                return rc;
        }
        if (bytes)
                prepare_round(part.pixels, (size_t)c * (size_t)r->h * (size_t)r->w);
        *ret = part;
        return 0;
}

/* The largest part of the recipe's proportions: the longer side by them, rounded; never 0. */
static void crop_sides(const struct image *im, const struct recipe *r, int *h, int *w)
{
        int64_t wide = ((int64_t)im->h * r->w * 2 + r->h) / (2 * (int64_t)r->h);
        int64_t high = ((int64_t)im->w * r->h * 2 + r->w) / (2 * (int64_t)r->w);
        if (wide <= im->w)
                *w = wide > 0 ? (int)wide : 1;
        else if (high <= im->h)
                *h = high > 0 ? (int)high : 1;
}

int prepare_frame(const struct image *im, int frame, const struct recipe *r, int c, bool bytes,
        struct image *ret, struct err *e)
{
        int h = im->h, w = im->w;
        if (r->fit == RECIPE_CROP && r->pixel_nm > 0) {
                if (h < r->h || w < r->w)
                        return err_set(e, ERR_INVALID,
                                "%dx%d pixels at %g nm a pixel are smaller than the crop of %dx%d", h, w,
                                r->pixel_nm, r->h, r->w);
                h = r->h;
                w = r->w;
        } else if (r->fit == RECIPE_CROP) {
                crop_sides(im, r, &h, &w);
        }
        return prepare_part(im, frame, (im->h - h) / 2, (im->w - w) / 2, h, w, r, c, bytes, ret, e);
}

int prepare_frames(struct image *im, const struct recipe *r, int c, bool bytes, struct err *e)
{
        struct image out = {0};
        const size_t values = (size_t)c * (size_t)r->h * (size_t)r->w;
        int rc = image_create((uint64_t)im->n, (uint64_t)c, (uint64_t)r->h, (uint64_t)r->w, &out, e);
        for (int i = 0; rc == 0 && i < im->n; i++) {
                struct image frame = {0};
                rc = prepare_frame(im, i, r, c, bytes, &frame, e);
                if (rc == 0)
                        memcpy(out.pixels + (size_t)i * values, frame.pixels, values * sizeof *out.pixels);
                image_finish(&frame);
        }
        if (rc != 0) {
                image_finish(&out);
                return rc;
        }
        free(im->pixels);
        im->pixels = out.pixels;
        im->c = c;
        im->h = r->h;
        im->w = r->w;
        return 0;
}
