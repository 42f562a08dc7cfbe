#include "data/image.h"
#include "data/decoder.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct format {
        const char *name, *magic;
        size_t magic_len;
        const char *types; /* media types, separated and ended by blanks */
        int (*decode)(const unsigned char *bytes, size_t len, struct image *ret, struct err *e);
};

#define PNM_TYPES "image/x-portable-graymap image/x-portable-pixmap image/x-portable-anymap "
static const struct format formats[] = {
        {"PNG", "\x89PNG\r\n\x1a\n", 8, "image/png ", png_decode},
        {"PGM", "P2", 2, PNM_TYPES, pnm_decode},
        {"PPM", "P3", 2, PNM_TYPES, pnm_decode},
        {"PGM", "P5", 2, PNM_TYPES, pnm_decode},
        {"PPM", "P6", 2, PNM_TYPES, pnm_decode},
        {"NPY", "\x93NUMPY", 6, "application/x-npy ", npy_decode},
};
enum { FORMATS = sizeof formats / sizeof formats[0] };

void image_finish(struct image *im)
{
        free(im->pixels);
        *im = (struct image){0};
}

int image_check(uint64_t n, uint64_t c, uint64_t h, uint64_t w, struct err *e)
{
        if (!n || !c || !h || !w)
                return err_set(e, ERR_INVALID, "an image of %llux%llux%llux%llu has no pixels",
                        (unsigned long long)n, (unsigned long long)c, (unsigned long long)h,
                        (unsigned long long)w);
        /* At most 2^16, 2^12, 2^16, 2^16 and 2^2: the first four bounds keep the product below 2^62. */
        if (n > IMAGE_MAX_COUNT || c > IMAGE_MAX_CHANNELS || h > IMAGE_MAX_SIDE || w > IMAGE_MAX_SIDE ||
                n * c * h * w > IMAGE_MAX_BYTES / sizeof(float))
                return err_set(e, ERR_TOO_LARGE,
                        "%llu images of %llu channels, %llu high, %llu wide: at most %d, %d, %d, %d and %zu "
                        "bytes as "
                        "floats",
                        (unsigned long long)n, (unsigned long long)c, (unsigned long long)h,
                        (unsigned long long)w, IMAGE_MAX_COUNT, IMAGE_MAX_CHANNELS, IMAGE_MAX_SIDE,
                        IMAGE_MAX_SIDE, IMAGE_MAX_BYTES);
        return 0;
}

int image_create(uint64_t n, uint64_t c, uint64_t h, uint64_t w, struct image *ret, struct err *e)
{
        int rc = image_check(n, c, h, w, e);
        if (rc != 0)
                return rc;
        float *pixels = malloc((size_t)(n * c * h * w) * sizeof *pixels);
        if (!pixels)
                return err_set(
                        e, ERR_NO_MEMORY, "no memory for %llu pixels", (unsigned long long)(n * c * h * w));
        *ret = (struct image){(int)n, (int)c, (int)h, (int)w, pixels};
        return 0;
}

static const struct format *format_of(const unsigned char *bytes, size_t len)
{
        for (int i = 0; i < FORMATS; i++)
                if (len >= formats[i].magic_len && memcmp(bytes, formats[i].magic, formats[i].magic_len) == 0)
                        return &formats[i];
        return NULL;
}

/* Whether `types` lists the media type of `len` bytes at `type`, in any case. */
static bool lists(const char *types, const char *type, size_t len)
{
        for (const char *p = types; *p; p = strchr(p, ' ') + 1)
                if ((size_t)(strchr(p, ' ') - p) == len && strncasecmp(p, type, len) == 0)
                        return true;
        return false;
}

static int check_claim(const char *claim, const struct format *found, struct err *e)
{
        size_t len = claim ? strcspn(claim, "; \t") : 0;
        bool known = false;
        if (len == 0 || lists("application/octet-stream ", claim, len))
                return 0;
        if (found && lists(found->types, claim, len))
                return 0;
        for (int i = 0; i < FORMATS; i++)
                known = known || lists(formats[i].types, claim, len);
        if (!known)
                return err_set(e, ERR_MEDIA, "the media type %.80s is not read here", claim);
        return err_set(
                e, ERR_MEDIA, "the content is %s, not %.80s", found ? found->name : "something else", claim);
}

int image_decode(const void *bytes, size_t len, const char *media_type, struct image *ret, struct err *e)
{
        const struct format *f = format_of(bytes, len);
        int rc = check_claim(media_type, f, e);
        if (rc != 0)
                return rc;
        if (len == 0)
                return err_set(e, ERR_SYNTAX, "the image is empty");
        if (!f)
                return err_set(e, ERR_MEDIA, "the content is neither PNG, PGM, PPM nor NPY");
        struct err local = {0};
        rc = f->decode(bytes, len, ret, &local);
        if (rc != 0)
                err_set(e, rc, "%s: %s", f->name, local.message);
        return rc;
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
        free(im->pixels);
        *im = grey;
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
        free(im->pixels);
        *im = rgb;
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
                free(im->pixels);
                *im = out;
        }
        free(tx);
        free(ty);
        return rc;
}

/* Channels are reduced before the resize and multiplied after it: both are linear, so the order is free. */
int image_fit(struct image *im, int c, int h, int w, struct err *e)
{
        if (c < 1 || h < 1 || w < 1)
                return err_set(e, ERR_INVALID, "a network cannot take images of %dx%dx%d", c, h, w);
        int rc = image_check((uint64_t)im->n, (uint64_t)c, (uint64_t)h, (uint64_t)w, e);
        if (rc != 0)
                return rc;
        if (im->c != c && !(im->c == 3 && c == 1) && !(im->c == 1 && c == 3))
                return err_set(e, ERR_INVALID,
                        "the image has %d channels, the model takes %d; only grey and RGB are turned into "
                        "each other",
                        im->c, c);
        if (im->c == 3 && c == 1)
                rc = to_grey(im, e);
        if (rc == 0 && (im->h != h || im->w != w))
                rc = resize(im, h, w, e);
        if (rc == 0 && im->c == 1 && c == 3)
                rc = to_rgb(im, e);
        return rc;
}
