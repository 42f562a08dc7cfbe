/* MRC2014: https://www.ccpem.ac.uk/mrc_format/mrc2014.php; bits of mode 0 by IMOD. */
#include "data/decoder.h"
#include "data/sample.h"
#include "data/span.h"

enum { HEADER = 1024, FEI_PIXEL = 156, FEI_BYTES = 172, IMOD_STAMP = 1146047817 };
enum { MODE_PACKED4 = 101, MODE_RGB = 16 };

struct header {
        bool big;
        int32_t nx, ny, nz, mode, group, extra; /* `extra`: bytes between the header and the data */
        struct sample sample;                   /* of the modes that have one */
};

/* Bytes of a sample in *ret; false for a mode that is none. Complex modes have a size, too. */
static bool mode_of(int32_t mode, struct sample *ret)
{
        static const struct {
                int32_t mode;
                struct sample sample;
        } modes[] = {
                {0, {SAMPLE_INT, 1, false}},
                {1, {SAMPLE_INT, 2, false}},
                {2, {SAMPLE_FLOAT, 4, false}},
                {3, {SAMPLE_INT, 4, false}},
                {4, {SAMPLE_FLOAT, 8, false}},
                {6, {SAMPLE_UINT, 2, false}},
                {12, {SAMPLE_FLOAT, 2, false}},
                {MODE_RGB, {SAMPLE_UINT, 1, false}},
                {MODE_PACKED4, {SAMPLE_UINT, 1, false}},
        };
        for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++)
                if (modes[i].mode == mode) {
                        *ret = modes[i].sample;
                        return true;
                }
        return false;
}

static uint64_t row_bytes(const struct header *h)
{
        uint64_t nx = (uint64_t)h->nx;
        return h->mode == MODE_PACKED4 ? (nx + 1) / 2
                                       : nx * (uint64_t)h->sample.bytes * (h->mode == MODE_RGB ? 3 : 1);
}

/* Whether the header makes sense in this byte order. */
static bool read_header(const unsigned char *b, bool big, struct header *h)
{
        *h = (struct header){big, span_i32(b, big), span_i32(b + 4, big), span_i32(b + 8, big),
                span_i32(b + 12, big), span_i32(b + 88, big), span_i32(b + 92, big), {SAMPLE_INT, 1, big}};
        if (h->nx < 1 || h->ny < 1 || h->nz < 1 || h->extra < 0 || !mode_of(h->mode, &h->sample))
                return false;
        h->sample.big_endian = big;
        bool imod = span_i32(b + 152, big) == IMOD_STAMP;
        if (h->mode == 0 && imod && !(span_i32(b + 156, big) & 1))
                h->sample.kind = SAMPLE_UINT;
        return true;
}

static bool marked(const unsigned char *b)
{
        return memcmp(b + 208, "MAP", 3) == 0;
}

/* What the data needs, at most 2^31 * 2^35; false where that is beyond the bounds of an image anyway. */
static bool needed(const struct header *h, uint64_t *ret)
{
        if (h->nx > IMAGE_MAX_SIDE || h->ny > IMAGE_MAX_SIDE)
                return false;
        *ret = row_bytes(h) * (uint64_t)h->ny;
        if (*ret > UINT64_MAX / (uint64_t)h->nz)
                return false;
        *ret *= (uint64_t)h->nz;
        return true;
}

/* The machine stamp first, where there is one; old files have none, and bytes (mode 0) make sense in both
   orders but for the sizes. */
static bool find_header(const unsigned char *b, size_t len, struct header *h)
{
        uint64_t need;
        if (len < HEADER)
                return false;
        bool big = marked(b) && b[212] == 0x11;
        for (int i = 0; i < 2; i++)
                if (read_header(b, i ? !big : big, h) && needed(h, &need) &&
                        span_holds(len, HEADER + (uint64_t)h->extra, need))
                        return true;
        return read_header(b, big, h) || read_header(b, !big, h);
}

/* Axes of a file without "MAP ": none named, or a permutation of 1, 2, 3. */
static bool axes_make_sense(const unsigned char *b, bool big)
{
        int seen = 0;
        for (int i = 0; i < 3; i++) {
                int32_t axis = span_i32(b + 64 + 4 * i, big);
                if (axis < 0 || axis > 3)
                        return false;
                seen |= 1 << axis;
        }
        return seen == 1 || seen == 14;
}

bool mrc_is(const unsigned char *b, size_t len)
{
        struct header h;
        uint64_t need;
        if (len >= HEADER && marked(b))
                return true;
        return find_header(b, len, &h) && axes_make_sense(b, h.big) && needed(&h, &need) &&
               span_holds(len, HEADER + (uint64_t)h.extra, need);
}

static int check(const unsigned char *b, size_t len, const struct header *h, struct err *e)
{
        uint64_t need = 0, frames = (uint64_t)h->nz;
        int32_t mz = span_i32(b + 36, h->big);
        if (h->mode == 3 || h->mode == 4)
                return err_set(e, ERR_INVALID,
                        "complex numbers (mode %d) cannot be classified; send their magnitude or real part",
                        (int)h->mode);
        if (h->nz > 1 && (h->group >= 400 || (h->group > 0 && mz == h->nz)))
                return err_set(e, ERR_INVALID,
                        "a volume of %d sections is not an image; send sections, or a stack with space group "
                        "0",
                        (int)h->nz);
        int rc = image_check(frames, h->mode == MODE_RGB ? 3 : 1, (uint64_t)h->ny, (uint64_t)h->nx, e);
        if (rc != 0)
                return rc;
        if (!needed(h, &need) || !span_holds(len, HEADER + (uint64_t)h->extra, need))
                return err_set(e, ERR_SYNTAX, "%zu bytes where %d + %d + %llu are needed", len, HEADER,
                        (int)h->extra, (unsigned long long)need);
        return 0;
}

/* Cell lengths in angstrom over the sampling; FEI's extended header has metres. */
static void read_pixel(const unsigned char *b, size_t len, const struct header *h, struct image *im)
{
        bool fei = memcmp(b + 104, "FEI1", 4) == 0 || memcmp(b + 104, "FEI2", 4) == 0;
        if (fei && h->extra >= FEI_BYTES && len >= HEADER + FEI_BYTES) {
                const unsigned char *p = b + HEADER + FEI_PIXEL;
                image_set_pixel(im, span_f64(p + 8, h->big), span_f64(p, h->big), "m");
        }
        if (im->unit != IMAGE_UNKNOWN)
                return;
        double size[2];
        for (int i = 0; i < 2; i++) {
                int32_t axis = span_i32(b + 64 + 4 * i, h->big);
                int k = axis >= 1 && axis <= 3 ? axis - 1 : i;
                int32_t samples = span_i32(b + 28 + 4 * k, h->big);
                size[i] = samples > 0 ? (double)span_f32(b + 40 + 4 * k, h->big) / samples : 0;
        }
        image_set_pixel(im, size[1], size[0], "A");
}

/* Two samples a byte, the lower half first. */
static void read_packed(const unsigned char *from, size_t count, float *to)
{
        for (size_t i = 0; i < count; i++)
                to[i] = (float)(from[i / 2] >> i % 2 * 4 & 15) / 15.0f;
}

static void read_rows(const unsigned char *data, const struct header *h, struct image *im)
{
        size_t w = (size_t)im->w, height = (size_t)im->h, row = (size_t)row_bytes(h), c = (size_t)im->c;
        for (size_t n = 0; n < (size_t)im->n; n++)
                for (size_t y = 0; y < height; y++, data += row)
                        for (size_t k = 0; k < c; k++) {
                                float *out = im->pixels + ((n * c + k) * height + height - 1 - y) * w;
                                if (h->mode == MODE_PACKED4)
                                        read_packed(data, w, out);
                                else
                                        sample_read(
                                                &h->sample, data + k, (size_t)h->sample.bytes * c, w, out);
                        }
}

/* In the byte order of its stamp, or that which gives the smaller mode. */
static int refuse_header(const unsigned char *b, size_t len, struct err *e)
{
        if (len < HEADER)
                return err_set(e, ERR_SYNTAX, "%zu bytes where the header alone has %d", len, HEADER);
        bool big = marked(b) ? b[212] == 0x11 : b[15] != 0 && b[12] == 0;
        return err_set(e, ERR_SYNTAX,
                "the mode %d and the sizes %d x %d x %d in its header make no sense: read are the modes 0, "
                "1, "
                "2, 6, 12, 16 and 101",
                (int)span_i32(b + 12, big), (int)span_i32(b, big), (int)span_i32(b + 4, big),
                (int)span_i32(b + 8, big));
}

int mrc_decode(const unsigned char *b, size_t len, struct image *ret, struct err *e)
{
        struct header h;
        struct image im = {0};
        if (!find_header(b, len, &h))
                return refuse_header(b, len, e);
        int rc = check(b, len, &h, e);
        if (rc == 0)
                rc = image_create(
                        (uint64_t)h.nz, h.mode == MODE_RGB ? 3 : 1, (uint64_t)h.ny, (uint64_t)h.nx, &im, e);
        if (rc != 0)
                return rc;
        read_rows(b + HEADER + h.extra, &h, &im);
        rc = image_check_finite(&im, e);
        if (rc != 0) {
                image_finish(&im);
                return rc;
        }
        image_merge_grey(&im);
        read_pixel(b, len, &h, &im);
        *ret = im;
        return 0;
}
