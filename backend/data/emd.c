/* EMD, two formats in HDF5: Velox keeps images under /Data/Image/ID, NCEM in groups with emd_group_type 1. */
#include "data/decoder.h"
#include "base/json.h"
#include "data/hdf.h"
#include "data/unit.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_DEPTH = 32, MAX_GROUPS = 4096, UNIT_ROOM = 32, METADATA_BYTES = 1 << 20 };

/* The best image so far. */
struct best {
        bool found;
        uint64_t group;
        struct hdf_set set;
        uint64_t n, h, w;
        bool velox, frames_last; /* (h,w,n), as Velox has it; else (n,h,w) */
};

struct search {
        struct hdf *file; /* borrowed */
        struct best best;
        struct err why; /* why the last candidate was none */
        int depth, groups;
};

static void consider(struct search *s, const struct best *b)
{
        if (!s->best.found || b->h * b->w > s->best.h * s->best.w)
                s->best = *b;
        s->best.found = true;
}

/* Looks at the data set; ERR_INVALID for what is no image. */
static int measure(struct search *s, uint64_t object, struct best *b, struct err *e)
{
        int rc = hdf_open_set(s->file, object, &b->set, e);
        if (rc != 0)
                return rc;
        if (!b->set.real)
                return err_set(e, ERR_INVALID,
                        "complex numbers, records and other than plain integers and floats cannot be "
                        "classified");
        if (b->set.ndim != 2 && b->set.ndim != 3)
                return err_set(e, ERR_INVALID, "%d dimensions are not an image", b->set.ndim);
        return 0;
}

static int set_size(struct best *b, struct err *e)
{
        const uint64_t *d = b->set.dims;
        bool stack = b->set.ndim == 3;
        int first = stack && !b->frames_last;
        b->n = !stack ? 1 : b->frames_last ? d[2] : d[0];
        b->h = d[first];
        b->w = d[first + 1];
        return image_check(b->n, 1, b->h, b->w, e);
}

static int visit_velox(void *ctx, const char *name, uint64_t object, struct err *e)
{
        struct search *s = ctx;
        struct best b = {.group = object, .velox = true, .frames_last = true};
        uint64_t data;
        (void)name;
        (void)e;
        if (hdf_child(s->file, object, "Data", &data) && measure(s, data, &b, &s->why) == 0 &&
                set_size(&b, &s->why) == 0)
                consider(s, &b);
        return 0;
}

/* "[n_m]" and "nm", of the axis `i` counted from 1; its step in *ret. Two values tell the step. */
static bool ncem_axis(struct hdf *f, uint64_t group, int i, double *ret, char unit[UNIT_ROOM])
{
        static const char *const names[] = {"dim1", "dim2", "dim3"};
        const uint64_t count[HDF_MAX_DIMS] = {2};
        struct hdf_set set;
        struct err e;
        unsigned char values[2 * sizeof(double)];
        uint64_t object;
        unit[0] = 0;
        if (!hdf_child(f, group, names[i - 1], &object))
                return false;
        (void)hdf_attribute_text(f, object, "units", unit, UNIT_ROOM);
        if (hdf_open_set(f, object, &set, &e) != 0 || !set.real || set.ndim != 1 || set.dims[0] < 2 ||
                hdf_read_bytes(f, &set, count, values, &e) != 0)
                return false;
        *ret = hdf_number(&set.sample, values + set.bytes) - hdf_number(&set.sample, values);
        return true;
}

struct find {
        struct hdf *f;
        uint64_t object;
        bool found;
};

/* The one data set of the group that is no axis: "data", or a name of its own. */
static int find_data(void *ctx, const char *name, uint64_t object, struct err *e)
{
        struct find *found = ctx;
        (void)e;
        if (strncmp(name, "dim", 3) == 0 || hdf_is_group(found->f, object))
                return 0;
        found->object = object;
        found->found = true;
        return 1;
}

/* Which axis counts the frames: the one that is no length. Three lengths are a volume; without units it is
   the first. */
static int find_frames(struct search *s, struct best *b, struct err *e)
{
        bool length[3];
        double step = 0, factor = 0;
        char unit[UNIT_ROOM];
        for (int i = 0; i < 3; i++) {
                (void)ncem_axis(s->file, b->group, i + 1, &step, unit);
                length[i] = unit_parse(unit, &factor) != IMAGE_UNKNOWN;
        }
        if (length[0] && length[1] && length[2] && b->set.dims[0] > 1)
                return err_set(e, ERR_INVALID, "a volume is not an image; send sections");
        b->frames_last = length[0] && length[1] && !length[2];
        return 0;
}

static void take_ncem(struct search *s, uint64_t group)
{
        struct best b = {.group = group};
        struct find data = {.f = s->file};
        struct err e;
        if (hdf_child(s->file, group, "data", &data.object))
                data.found = true;
        else
                (void)hdf_each(s->file, group, find_data, &data, &e);
        int rc = data.found ? measure(s, data.object, &b, &s->why) : ERR_INVALID;
        if (rc == 0 && b.set.ndim == 3)
                rc = find_frames(s, &b, &s->why);
        if (rc == 0 && set_size(&b, &s->why) == 0)
                consider(s, &b);
}

static int visit_ncem(void *ctx, const char *name, uint64_t object, struct err *e)
{
        struct search *s = ctx;
        double kind = 0;
        int rc = 0;
        (void)name;
        if (!hdf_is_group(s->file, object))
                return 0;
        if (++s->groups > MAX_GROUPS || s->depth >= MAX_DEPTH)
                return err_set(e, ERR_TOO_LARGE, "more than %d groups, or %d deep", MAX_GROUPS, MAX_DEPTH);
        if (hdf_attribute_number(s->file, object, "emd_group_type", &kind) && kind == 1) {
                take_ncem(s, object);
        } else {
                s->depth++;
                rc = hdf_each(s->file, object, visit_ncem, s, e);
                s->depth--;
        }
        return rc;
}

static int find_image(struct search *s, struct err *e)
{
        uint64_t data, images;
        bool velox = hdf_child(s->file, s->file->root, "Data", &data) &&
                     hdf_child(s->file, data, "Image", &images);
        int rc = velox ? hdf_each(s->file, images, visit_velox, s, e)
                       : hdf_each(s->file, s->file->root, visit_ncem, s, e);
        if (rc != 0 || s->best.found)
                return rc;
        if (s->why.code)
                *e = s->why;
        else
                err_set(e, ERR_INVALID, "HDF5 without an image as Velox or NCEM write it");
        return e->code;
}

/* {"BinaryResult":{"PixelSize":{"width":"1e-10","height":…},"PixelUnitX":"m"}} in the first column. */
static void set_velox_pixel(struct image *im, const char *text)
{
        struct err e;
        cJSON *tree = json_parse(text, strlen(text), &e);
        const cJSON *result = json_field(tree, "BinaryResult"), *size = json_field(result, "PixelSize");
        const cJSON *w = json_field(size, "width"), *h = json_field(size, "height");
        const cJSON *unit = json_field(result, "PixelUnitX");
        if (cJSON_IsString(w) && cJSON_IsString(h))
                image_set_pixel(im, strtod(h->valuestring, NULL), strtod(w->valuestring, NULL),
                        cJSON_IsString(unit) ? unit->valuestring : "m");
        cJSON_Delete(tree);
}

static void velox_pixel(struct search *s, struct image *im)
{
        struct hdf_set set;
        struct err e;
        uint64_t object;
        if (!hdf_child(s->file, s->best.group, "Metadata", &object) ||
                hdf_open_set(s->file, object, &set, &e) != 0)
                return;
        if (!set.real || set.bytes != 1 || set.ndim != 2 || set.dims[0] < 1 || set.dims[0] > METADATA_BYTES ||
                set.dims[1] < 1)
                return;
        const uint64_t count[HDF_MAX_DIMS] = {set.dims[0], 1};
        char *text = calloc(1, (size_t)set.dims[0] + 1);
        if (text && hdf_read_bytes(s->file, &set, count, (unsigned char *)text, &e) == 0)
                set_velox_pixel(im, text);
        free(text);
}

static void ncem_pixel(struct search *s, struct image *im)
{
        double h = 0, w = 0;
        char unit_h[UNIT_ROOM], unit_w[UNIT_ROOM];
        int last = s->best.frames_last ? 2 : s->best.set.ndim;
        if (ncem_axis(s->file, s->best.group, last - 1, &h, unit_h) &&
                ncem_axis(s->file, s->best.group, last, &w, unit_w) && strcmp(unit_h, unit_w) == 0)
                image_set_pixel(im, h, w, unit_w);
}

/* (h,w,n) to (n,h,w). */
static int frames_first(struct image *im, struct err *e)
{
        struct image out = {0};
        size_t plane = (size_t)im->h * (size_t)im->w, n = (size_t)im->n;
        int rc = image_create(n, 1, (uint64_t)im->h, (uint64_t)im->w, &out, e);
        if (rc != 0)
                return rc;
        for (size_t i = 0; i < plane; i++)
                for (size_t k = 0; k < n; k++)
                        out.pixels[k * plane + i] = im->pixels[i * n + k];
        free(im->pixels);
        im->pixels = out.pixels;
        return 0;
}

static int read_image(struct search *s, struct image *im, struct err *e)
{
        const struct best *b = &s->best;
        int rc = image_create(b->n, 1, b->h, b->w, im, e);
        if (rc == 0)
                rc = hdf_read_floats(s->file, &b->set, b->set.dims, im->pixels, e);
        if (rc == 0 && b->frames_last && b->n > 1)
                rc = frames_first(im, e);
        if (rc == 0)
                rc = image_check_finite(im, e);
        if (rc != 0)
                return rc;
        if (b->velox)
                velox_pixel(s, im);
        else
                ncem_pixel(s, im);
        return 0;
}

int emd_decode(const unsigned char *bytes, size_t len, struct image *ret, struct err *e)
{
        struct hdf file;
        struct search s = {.file = &file};
        struct image im = {0};
        int rc = hdf_open(bytes, len, &file, e);
        if (rc == 0)
                rc = find_image(&s, e);
        if (rc == 0)
                rc = read_image(&s, &im, e);
        if (rc == 0)
                *ret = im;
        else
                image_finish(&im);
        return rc;
}
