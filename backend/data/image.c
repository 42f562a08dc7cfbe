#include "data/image.h"
#include "data/decoder.h"
#include "data/unit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void image_finish(struct image *im)
{
        free(im->pixels);
        *im = (struct image){0};
}

static const uint64_t all_values = IMAGE_MAX_BYTES / sizeof(float);
static uint64_t most_values = IMAGE_MAX_BYTES / sizeof(float);

void image_bound(uint64_t values)
{
        most_values = values && values < all_values ? values : all_values;
}

static int refuse(uint64_t n, uint64_t c, uint64_t h, uint64_t w, uint64_t most, struct err *e)
{
        return err_set(e, ERR_TOO_LARGE,
                "%llu images of %llu channels, %llu high, %llu wide: at most %d, %d, %d, %d and %llu bytes "
                "as "
                "floats",
                (unsigned long long)n, (unsigned long long)c, (unsigned long long)h, (unsigned long long)w,
                IMAGE_MAX_COUNT, IMAGE_MAX_CHANNELS, IMAGE_MAX_SIDE, IMAGE_MAX_SIDE,
                (unsigned long long)(most * sizeof(float)));
}

int image_check(uint64_t n, uint64_t c, uint64_t h, uint64_t w, struct err *e)
{
        if (!n || !c || !h || !w)
                return err_set(e, ERR_INVALID, "an image of %llux%llux%llux%llu has no pixels",
                        (unsigned long long)n, (unsigned long long)c, (unsigned long long)h,
                        (unsigned long long)w);
        /* At most 2^16, 2^12, 2^16, 2^16 and 2^2: the first four bounds keep the product below 2^62. */
        if (n > IMAGE_MAX_COUNT || c > IMAGE_MAX_CHANNELS || h > IMAGE_MAX_SIDE || w > IMAGE_MAX_SIDE ||
                n * c * h * w > all_values)
                return refuse(n, c, h, w, all_values, e);
        return 0;
}

int image_create(uint64_t n, uint64_t c, uint64_t h, uint64_t w, struct image *ret, struct err *e)
{
        int rc = image_check(n, c, h, w, e);
        if (rc != 0)
                return rc;
        if (n * c * h * w > most_values) /* only here: which image of a file is taken is not to hang on it */
                return refuse(n, c, h, w, most_values, e);
        float *pixels = malloc((size_t)(n * c * h * w) * sizeof *pixels);
        if (!pixels)
                return err_set(
                        e, ERR_NO_MEMORY, "no memory for %llu pixels", (unsigned long long)(n * c * h * w));
        *ret = (struct image){.n = (int)n, .c = (int)c, .h = (int)h, .w = (int)w, .pixels = pixels};
        return 0;
}

void image_set_pixel(struct image *im, double pixel_h, double pixel_w, const char *unit)
{
        double factor = 1;
        enum image_unit kind = unit_parse(unit, &factor);
        pixel_h *= factor;
        pixel_w *= factor;
        if (kind == IMAGE_UNKNOWN || !isfinite(pixel_h) || !isfinite(pixel_w) || pixel_h <= 0 || pixel_w <= 0)
                return;
        im->unit = kind;
        im->pixel_h = pixel_h;
        im->pixel_w = pixel_w;
}

int image_check_finite(const struct image *im, struct err *e)
{
        size_t w = (size_t)im->w, plane = (size_t)im->h * w, count = (size_t)im->n * (size_t)im->c * plane;
        for (size_t i = 0; i < count; i++)
                if (!isfinite(im->pixels[i]))
                        return err_set(e, ERR_INVALID,
                                "the value at plane %zu, row %zu, column %zu is not finite as a float",
                                i / plane, i % plane / w, i % w);
        return 0;
}

void image_merge_grey(struct image *im)
{
        size_t plane = (size_t)im->h * (size_t)im->w;
        if (im->c != 3)
                return;
        for (size_t n = 0; n < (size_t)im->n; n++) {
                const float *p = im->pixels + n * 3 * plane;
                if (memcmp(p, p + plane, plane * sizeof *p) != 0 ||
                        memcmp(p, p + 2 * plane, plane * sizeof *p) != 0)
                        return;
        }
        for (size_t n = 1; n < (size_t)im->n; n++)
                memmove(im->pixels + n * plane, im->pixels + n * 3 * plane, plane * sizeof *im->pixels);
        im->c = 1;
        float *less = realloc(im->pixels, (size_t)im->n * plane * sizeof *less);
        im->pixels = less ? less : im->pixels;
}

/* The pixels and the shape of `by`, the rest as it was. */
static void replace(struct image *im, const struct image *by)
{
        free(im->pixels);
        im->pixels = by->pixels;
        im->n = by->n;
        im->c = by->c;
        im->h = by->h;
        im->w = by->w;
}

static int to_grey(struct image *im, struct err *e)
{
        struct image grey;
        size_t plane = (size_t)im->h * (size_t)im->w;
        int rc = image_create((uint64_t)im->n, 1, (uint64_t)im->h, (uint64_t)im->w, &grey, e);
        if (rc != 0)
                return rc;
        for (size_t n = 0; n < (size_t)im->n; n++) {
                const float *r = im->pixels + n * 3 * plane, *g = r + plane, *b = g + plane;
                float *y = grey.pixels + n * plane;
                for (size_t i = 0; i < plane; i++)
                        y[i] = 0.299f * r[i] + 0.587f * g[i] + 0.114f * b[i];
        }
        replace(im, &grey);
        return 0;
}

static int to_rgb(struct image *im, struct err *e)
{
        struct image rgb;
        size_t plane = (size_t)im->h * (size_t)im->w;
        int rc = image_create((uint64_t)im->n, 3, (uint64_t)im->h, (uint64_t)im->w, &rgb, e);
        if (rc != 0)
                return rc;
        for (size_t n = 0; n < (size_t)im->n; n++)
                for (size_t c = 0; c < 3; c++)
                        memcpy(rgb.pixels + (n * 3 + c) * plane, im->pixels + n * plane,
                                plane * sizeof(float));
        replace(im, &rgb);
        return 0;
}

/* One output coordinate: the two inputs it lies between, and the weight of the second. */
struct tap {
        int low, high;
        float weight;
};

static struct tap *taps_create(int from, int to, struct err *e)
{
        struct tap *taps = malloc((size_t)to * sizeof *taps);
        if (!taps) {
                err_set(e, ERR_NO_MEMORY, "no memory to resize to %d", to);
                return NULL;
        }
        float scale = (float)from / (float)to;
        for (int i = 0; i < to; i++) {
                float at = fmaxf(scale * ((float)i + 0.5f) - 0.5f, 0);
                taps[i].low = (int)at < from - 1 ? (int)at : from - 1;
                taps[i].high = taps[i].low < from - 1 ? taps[i].low + 1 : taps[i].low;
                taps[i].weight = fminf(fmaxf(at - (float)taps[i].low, 0), 1);
        }
        return taps;
}

static void resize_plane(
        const struct tap *ty, const struct tap *tx, const float *from, int from_w, float *to, int h, int w)
{
        for (int y = 0; y < h; y++) {
                const float *low = from + (size_t)ty[y].low * (size_t)from_w;
                const float *high = from + (size_t)ty[y].high * (size_t)from_w;
                float wy = ty[y].weight;
                for (int x = 0; x < w; x++) {
                        float wx = tx[x].weight;
                        int a = tx[x].low, b = tx[x].high;
                        *to++ = (1 - wy) * ((1 - wx) * low[a] + wx * low[b]) +
                                wy * ((1 - wx) * high[a] + wx * high[b]);
                }
        }
}

static int resize(struct image *im, int h, int w, struct err *e)
{
        struct image out;
        struct tap *tx = NULL, *ty = taps_create(im->h, h, e);
        int rc = ty && (tx = taps_create(im->w, w, e)) ? 0 : ERR_NO_MEMORY;
        if (rc == 0)
                rc = image_create((uint64_t)im->n, (uint64_t)im->c, (uint64_t)h, (uint64_t)w, &out, e);
        if (rc == 0) {
                size_t planes = (size_t)im->n * (size_t)im->c, from = (size_t)im->h * (size_t)im->w;
                for (size_t p = 0; p < planes; p++)
                        resize_plane(ty, tx, im->pixels + p * from, im->w,
                                out.pixels + p * (size_t)h * (size_t)w, h, w);
                im->pixel_h *= (double)im->h / h;
                im->pixel_w *= (double)im->w / w;
                replace(im, &out);
        }
        free(tx);
        free(ty);
        return rc;
}

const char *image_order_hint(const struct image *im)
{
        bool array = im->format && im->format[0] == 'N';
        return array && im->w <= 4 ? "; an array is read as (C,H,W), not as (H,W,C)" : "";
}

bool image_channels_fit(int has, int wants)
{
        return has == wants || (has == 3 && wants == 1) || (has == 1 && wants == 3);
}

/* Channels are reduced before the resize and multiplied after it: both are linear, so the order is free. */
int image_fit(struct image *im, int c, int h, int w, struct err *e)
{
        if (c < 1 || h < 1 || w < 1)
                return err_set(e, ERR_INVALID, "a network cannot take images of %dx%dx%d", c, h, w);
        int rc = image_check((uint64_t)im->n, (uint64_t)c, (uint64_t)h, (uint64_t)w, e);
        if (rc != 0)
                return rc;
        if (!image_channels_fit(im->c, c))
                return err_set(e, ERR_INVALID,
                        "the image has %d channels, the model takes %d; only grey and RGB are turned into "
                        "each other%s",
                        im->c, c, image_order_hint(im));
        if (im->c == 3 && c == 1)
                rc = to_grey(im, e);
        if (rc == 0 && (im->h != h || im->w != w))
                rc = resize(im, h, w, e);
        if (rc == 0 && im->c == 1 && c == 3)
                rc = to_rgb(im, e);
        return rc;
}
