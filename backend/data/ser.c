/* TIA series (ES Vision): little-endian, an array of offsets to elements of one kind. Rows are stored
 * bottom-up. */
#include "data/decoder.h"
#include "data/sample.h"
#include "data/span.h"

enum { HEAD = 30, SERIES_1D = 0x4120, SERIES_2D = 0x4122, ELEMENT = 50, LAST_32 = 528, TYPES = 8 };
/* A pixel is nanometres to micrometres wide in metres, and above 10^3 in 1/metres. */
#define RECIPROCAL_FROM 1.0

struct series {
        const unsigned char *bytes;
        size_t len;
        int offset_size; /* 4 or 8 */
        uint64_t count, table;
        int type;
        int32_t nx, ny;
        struct sample sample;
};

static const struct sample types[TYPES + 1] = {
        {SAMPLE_UINT, 1, false}, /* no type 0 */
        {SAMPLE_UINT, 1, false},
        {SAMPLE_UINT, 2, false},
        {SAMPLE_UINT, 4, false},
        {SAMPLE_INT, 1, false},
        {SAMPLE_INT, 2, false},
        {SAMPLE_INT, 4, false},
        {SAMPLE_FLOAT, 4, false},
        {SAMPLE_FLOAT, 8, false},
};

static int read_head(struct series *s, struct err *e)
{
        if (s->len < HEAD)
                return err_set(e, ERR_SYNTAX, "%zu bytes are not a series", s->len);
        uint64_t version = span_uint(s->bytes + 4, 2, false), kind = span_uint(s->bytes + 6, 4, false);
        s->offset_size = version <= LAST_32 ? 4 : 8;
        s->count = span_uint(s->bytes + 18, 4, false);
        s->table = span_uint(s->bytes + 22, s->offset_size, false);
        if (kind == SERIES_1D)
                return err_set(e, ERR_INVALID, "a series of spectra is not an image");
        if (kind != SERIES_2D)
                return err_set(e, ERR_SYNTAX, "0x%llx is not a kind of series", (unsigned long long)kind);
        if (s->count == 0)
                return err_set(e, ERR_INVALID, "the series holds no image");
        if (s->count > IMAGE_MAX_COUNT)
                return err_set(e, ERR_TOO_LARGE, "%llu images; at most %d", (unsigned long long)s->count,
                        IMAGE_MAX_COUNT);
        if (!span_holds(s->len, s->table, s->count * (uint64_t)s->offset_size))
                return err_set(e, ERR_SYNTAX, "ends before its %llu offsets", (unsigned long long)s->count);
        return 0;
}

/* The element's place in *ret, its head checked to lie in the file. */
static int find_element(const struct series *s, uint64_t i, const unsigned char **ret, struct err *e)
{
        uint64_t at = span_uint(s->bytes + s->table + i * (uint64_t)s->offset_size, s->offset_size, false);
        if (!span_holds(s->len, at, ELEMENT))
                return err_set(e, ERR_SYNTAX, "image %llu lies outside the file", (unsigned long long)i);
        *ret = s->bytes + at;
        return 0;
}

static int check_element(const struct series *s, uint64_t i, const unsigned char *p, struct err *e)
{
        if (span_i32(p + 42, false) != s->nx || span_i32(p + 46, false) != s->ny ||
                (int)span_uint(p + 40, 2, false) != s->type)
                return err_set(e, ERR_INVALID, "image %llu differs from the first in size or type",
                        (unsigned long long)i);
        uint64_t need = (uint64_t)s->nx * (uint64_t)s->ny * (uint64_t)s->sample.bytes;
        if (!span_holds(s->len, (uint64_t)(p - s->bytes) + ELEMENT, need))
                return err_set(e, ERR_SYNTAX, "ends within image %llu", (unsigned long long)i);
        return 0;
}

/* Size and type of the first; all the others must be like it. */
static int read_shape(struct series *s, const unsigned char *p, struct err *e)
{
        s->type = (int)span_uint(p + 40, 2, false);
        s->nx = span_i32(p + 42, false);
        s->ny = span_i32(p + 46, false);
        if (s->type == 9 || s->type == 10)
                return err_set(e, ERR_INVALID,
                        "complex numbers (type %d) cannot be classified; send their magnitude or real part",
                        s->type);
        if (s->type < 1 || s->type > TYPES)
                return err_set(e, ERR_SYNTAX, "type %d is unknown", s->type);
        if (s->nx < 1 || s->ny < 1)
                return err_set(e, ERR_SYNTAX, "images of %dx%d", (int)s->ny, (int)s->nx);
        s->sample = types[s->type];
        int rc = image_check(s->count, 1, (uint64_t)s->ny, (uint64_t)s->nx, e);
        /* Many offsets may name one element: the file must be long enough for all. */
        if (rc == 0 && s->count * (uint64_t)s->ny * (uint64_t)s->nx * (uint64_t)s->sample.bytes > s->len)
                return err_set(e, ERR_SYNTAX, "%zu bytes cannot hold %llu images of %dx%d", s->len,
                        (unsigned long long)s->count, (int)s->ny, (int)s->nx);
        return rc;
}

static int read_images(const struct series *s, struct image *im, struct err *e)
{
        size_t w = (size_t)im->w, h = (size_t)im->h, row = w * (size_t)s->sample.bytes;
        const unsigned char *p = NULL;
        for (uint64_t i = 0; i < s->count; i++) {
                int rc = find_element(s, i, &p, e);
                if (rc != 0)
                        return rc;
                float *out = im->pixels + (size_t)i * w * h;
                for (size_t y = 0; y < h; y++)
                        sample_read(&s->sample, p + ELEMENT + y * row, (size_t)s->sample.bytes, w,
                                out + (h - 1 - y) * w);
        }
        return image_check_finite(im, e);
}

int ser_decode(const unsigned char *bytes, size_t len, struct image *ret, struct err *e)
{
        struct series s = {.bytes = bytes, .len = len};
        struct image im = {0};
        const unsigned char *first = NULL, *p = NULL;
        int rc = read_head(&s, e);
        if (rc == 0)
                rc = find_element(&s, 0, &first, e);
        if (rc == 0)
                rc = read_shape(&s, first, e);
        for (uint64_t i = 0; rc == 0 && i < s.count; i++) {
                rc = find_element(&s, i, &p, e);
                if (rc == 0)
                        rc = check_element(&s, i, p, e);
        }
        if (rc == 0)
                rc = image_create(s.count, 1, (uint64_t)s.ny, (uint64_t)s.nx, &im, e);
        if (rc != 0)
                return rc;
        rc = read_images(&s, &im, e);
        if (rc != 0) {
                image_finish(&im);
                return rc;
        }
        double dx = span_f64(first + 8, false), dy = span_f64(first + 28, false);
        image_set_pixel(&im, dy, dx, dx < RECIPROCAL_FROM ? "m" : "1/m");
        *ret = im;
        return 0;
}
