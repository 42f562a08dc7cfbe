/* DigitalMicrograph 3 and 4: images in ImageList/[i]/ImageData of the tag tree. */
#include "data/decoder.h"
#include "data/dmtags.h"
#include "data/sample.h"
#include "data/unit.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_IMAGES = 64, MAX_DIMS = 5, TYPE_BGRA = 23, TYPE_BGRA_OLD = 8 };

struct entry {
        bool has_data, spectrum;
        const unsigned char *data; /* borrowed from the file */
        uint64_t bytes;
        int type, ndim;
        uint64_t dims[MAX_DIMS];
        double scale[MAX_DIMS];
        char unit[MAX_DIMS][UNIT_BYTES];
        bool big_endian;
};

struct catalogue {
        struct entry entries[MAX_IMAGES];
        uint64_t count;
        bool thumbnail[MAX_IMAGES];
};

bool dm_is(const unsigned char *bytes, size_t len)
{
        return dmtags_version(bytes, len) != 0;
}

/* 0 and *ret for a whole number of at least 0 that fits. */
static int whole(const struct dmtags_tag *t, uint64_t *ret, struct err *e)
{
        double v = 0;
        if (!dmtags_number(t, &v) || !(v >= 0 && v <= 1e15))
                return err_set(e, ERR_SYNTAX, "a size or index that is not a number");
        *ret = (uint64_t)v;
        return 0;
}

static int take_dimension(struct entry *en, const struct dmtags_tag *t, struct err *e)
{
        uint64_t i = t->path[4].index;
        if (i >= MAX_DIMS)
                return err_set(e, ERR_INVALID, "more than %d dimensions are not an image", MAX_DIMS);
        if (en->ndim <= (int)i)
                en->ndim = (int)i + 1;
        return whole(t, &en->dims[i], e);
}

static void take_calibration(struct entry *en, const struct dmtags_tag *t)
{
        uint64_t i = t->path[5].index;
        if (t->depth != 7 || i >= MAX_DIMS || !dmtags_is(t, 4, "Dimension"))
                return;
        if (dmtags_is(t, 6, "Scale"))
                (void)dmtags_number(t, &en->scale[i]);
        else if (dmtags_is(t, 6, "Units") && (t->type == DMTAGS_U16 || t->type == DMTAGS_STRING))
                unit_from_utf16(t->values, (size_t)t->bytes / 2, t->big_endian, en->unit[i]);
}

static int take_image_data(struct entry *en, const struct dmtags_tag *t, struct err *e)
{
        uint64_t type = 0;
        if (t->depth == 4 && dmtags_is(t, 3, "Data")) {
                en->has_data = true;
                en->data = t->values;
                en->bytes = t->bytes;
                en->big_endian = t->big_endian;
        } else if (t->depth == 4 && dmtags_is(t, 3, "DataType")) {
                int rc = whole(t, &type, e);
                en->type = type <= 100 ? (int)type : -1;
                return rc;
        } else if (t->depth == 5 && dmtags_is(t, 3, "Dimensions")) {
                return take_dimension(en, t, e);
        } else if (dmtags_is(t, 3, "Calibrations")) {
                take_calibration(en, t);
        }
        return 0;
}

/* "Spectrum image" or "Spectrum" in the image's Meta Data. */
static bool tells_spectrum(const struct dmtags_tag *t)
{
        char text[UNIT_BYTES];
        if (t->depth != 5 || !dmtags_is(t, 3, "Meta Data") || !dmtags_is(t, 4, "Format") ||
                (t->type != DMTAGS_U16 && t->type != DMTAGS_STRING))
                return false;
        unit_from_utf16(t->values, (size_t)t->bytes / 2, t->big_endian, text);
        return strncmp(text, "Spectrum", 8) == 0;
}

static int found(void *ctx, const struct dmtags_tag *t, struct err *e)
{
        struct catalogue *c = ctx;
        uint64_t i = 0;
        if (t->depth == 3 && dmtags_is(t, 0, "Thumbnails") && dmtags_is(t, 2, "ImageIndex")) {
                int rc = whole(t, &i, e);
                if (rc == 0 && i < MAX_IMAGES)
                        c->thumbnail[i] = true;
                return rc;
        }
        if (t->depth < 4 || !dmtags_is(t, 0, "ImageList"))
                return 0;
        i = t->path[1].index;
        if (i >= MAX_IMAGES)
                return err_set(e, ERR_TOO_LARGE, "more than %d images", MAX_IMAGES);
        if (c->count <= i)
                c->count = i + 1;
        if (dmtags_is(t, 2, "ImageData"))
                return take_image_data(&c->entries[i], t, e);
        if (dmtags_is(t, 2, "ImageTags") && tells_spectrum(t))
                c->entries[i].spectrum = true;
        return 0;
}

static int sample_of(int type, struct sample *ret, struct err *e)
{
        static const struct {
                int type;
                struct sample sample;
        } known[] = {
                {1, {SAMPLE_INT, 2, false}},
                {2, {SAMPLE_FLOAT, 4, false}},
                {6, {SAMPLE_UINT, 1, false}},
                {7, {SAMPLE_INT, 4, false}},
                {TYPE_BGRA_OLD, {SAMPLE_UINT, 1, false}},
                {9, {SAMPLE_INT, 1, false}},
                {10, {SAMPLE_UINT, 2, false}},
                {11, {SAMPLE_UINT, 4, false}},
                {12, {SAMPLE_FLOAT, 8, false}},
                {14, {SAMPLE_INT, 1, false}},
                {TYPE_BGRA, {SAMPLE_UINT, 1, false}},
                {39, {SAMPLE_INT, 8, false}},
                {40, {SAMPLE_UINT, 8, false}},
        };
        if (type == 3 || type == 5 || type == 13 || type == 27 || type == 28)
                return err_set(e, ERR_INVALID,
                        "complex numbers (type %d) cannot be classified; send their magnitude or real part",
                        type);
        for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
                if (known[i].type == type) {
                        *ret = known[i].sample;
                        return 0;
                }
        return err_set(e, ERR_INVALID, "pixels of type %d are unknown", type);
}

/* Trailing dimensions of 1 do not count. */
static int check_shape(struct entry *en, struct err *e)
{
        while (en->ndim > 2 && en->dims[en->ndim - 1] == 1)
                en->ndim--;
        if (en->ndim < 2 || (en->ndim == 2 && (en->dims[0] == 1) != (en->dims[1] == 1) && en->spectrum))
                return err_set(e, ERR_INVALID, "a spectrum is not an image");
        if (en->ndim > 3)
                return err_set(e, ERR_INVALID, "%d dimensions are not an image", en->ndim);
        if (en->spectrum || strstr(en->unit[2], "eV"))
                return err_set(e, ERR_INVALID, "a spectrum image is not an image");
        return 0;
}

static bool is_colour(const struct entry *en)
{
        return en->type == TYPE_BGRA || en->type == TYPE_BGRA_OLD;
}

static void read_pixels(const struct entry *en, const struct sample *s, struct image *im)
{
        size_t plane = (size_t)im->h * (size_t)im->w, size = (size_t)s->bytes;
        for (size_t n = 0; n < (size_t)im->n; n++) {
                if (!is_colour(en)) {
                        sample_read(s, en->data + n * plane * size, size, plane, im->pixels + n * plane);
                        continue;
                }
                for (size_t k = 0; k < 3; k++) /* blue, green, red, unused */
                        sample_read(s, en->data + n * plane * 4 + 2 - k, 4, plane,
                                im->pixels + (n * 3 + k) * plane);
        }
        for (size_t i = 0; en->type == 14 && i < plane * (size_t)im->n; i++)
                im->pixels[i] = im->pixels[i] != 0.0f;
}

static int decode_entry(struct entry *en, struct image *ret, struct err *e)
{
        struct sample s = {0};
        struct image im = {0};
        int rc = check_shape(en, e);
        if (rc == 0)
                rc = sample_of(en->type, &s, e);
        if (rc != 0)
                return rc;
        uint64_t w = en->dims[0], h = en->dims[1], n = en->ndim == 3 ? en->dims[2] : 1;
        uint64_t channels = is_colour(en) ? 3 : 1, each = is_colour(en) ? 4 : (uint64_t)s.bytes;
        rc = image_check(n, channels, h, w, e);
        if (rc == 0 && n * h * w * each > en->bytes)
                rc = err_set(e, ERR_SYNTAX, "%llu bytes of pixels where %llu are needed",
                        (unsigned long long)en->bytes, (unsigned long long)(n * h * w * each));
        if (rc == 0)
                rc = image_create(n, channels, h, w, &im, e);
        if (rc != 0)
                return rc;
        s.big_endian = en->big_endian;
        read_pixels(en, &s, &im);
        rc = image_check_finite(&im, e);
        if (rc != 0) {
                image_finish(&im);
                return rc;
        }
        image_merge_grey(&im);
        if (strcmp(en->unit[0], en->unit[1]) == 0)
                image_set_pixel(&im, en->scale[1], en->scale[0], en->unit[0]);
        *ret = im;
        return 0;
}

int dm_decode(const unsigned char *bytes, size_t len, struct image *ret, struct err *e)
{
        struct catalogue *c = calloc(1, sizeof *c);
        if (!c)
                return err_set(e, ERR_NO_MEMORY, "no memory to decode");
        int rc = dmtags_walk(bytes, len, found, c, e);
        uint64_t i = 0;
        while (rc == 0 && i < c->count && (!c->entries[i].has_data || c->thumbnail[i]))
                i++;
        if (rc == 0 && i == c->count)
                rc = err_set(e, ERR_INVALID, "no image but a thumbnail");
        if (rc == 0)
                rc = decode_entry(&c->entries[i], ret, e);
        free(c);
        return rc;
}
