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
        hid_t group, set; /* owned; negative where none */
        struct hdf_shape shape;
        uint64_t n, h, w;
        bool velox, frames_last; /* (h,w,n), as Velox has it; else (n,h,w) */
};

struct search {
        uint64_t file_bytes;
        struct best best;
        struct err why; /* why the last candidate was none */
        int depth, groups;
};

static void best_close(struct best *b)
{
        if (b->set >= 0)
                H5Dclose(b->set);
        if (b->group >= 0)
                H5Gclose(b->group);
        b->set = b->group = H5I_INVALID_HID;
}

/* Keeps the larger; takes both. */
static void consider(struct search *s, const struct best *b)
{
        struct best other = *b;
        if (s->best.set < 0 || b->h * b->w > s->best.h * s->best.w) {
                other = s->best;
                s->best = *b;
        }
        best_close(&other);
}

/* Looks at the data set; ERR_INVALID for what is no image. */
static int measure(const struct search *s, struct best *b, struct err *e)
{
        int rc = hdf_shape(b->set, s->file_bytes, &b->shape, e);
        if (rc != 0)
                return rc;
        if (!b->shape.real)
                return err_set(e, ERR_INVALID,
                        "complex numbers, records and other than plain integers and floats cannot be "
                        "classified");
        if (b->shape.ndim != 2 && b->shape.ndim != 3)
                return err_set(e, ERR_INVALID, "%d dimensions are no image", b->shape.ndim);
        return 0;
}

static int set_size(struct best *b, struct err *e)
{
        const uint64_t *d = b->shape.dims;
        bool stack = b->shape.ndim == 3;
        int first = stack && !b->frames_last;
        b->n = !stack ? 1 : b->frames_last ? d[2] : d[0];
        b->h = d[first];
        b->w = d[first + 1];
        return image_check(b->n, 1, b->h, b->w, e);
}

static int visit_velox(void *ctx, hid_t images, const char *name, struct err *e)
{
        struct search *s = ctx;
        struct best b = {.group = hdf_child(images, name, H5I_GROUP),
                .set = H5I_INVALID_HID,
                .velox = true,
                .frames_last = true};
        (void)e;
        if (b.group >= 0)
                b.set = hdf_child(b.group, "Data", H5I_DATASET);
        if (b.set >= 0 && measure(s, &b, &s->why) == 0 && set_size(&b, &s->why) == 0)
                consider(s, &b);
        else
                best_close(&b);
        return 0;
}

/* "[n_m]" and "nm", of the axis `i` counted from 1; its step in *ret. Two values tell the step. */
static bool ncem_axis(hid_t group, int i, uint64_t file_bytes, double *ret, char unit[UNIT_ROOM])
{
        static const char *const names[] = {"dim1", "dim2", "dim3"};
        const uint64_t start[1] = {0}, count[1] = {2};
        struct hdf_shape shape = {0};
        struct err e;
        float values[2] = {0};
        hid_t set = hdf_child(group, names[i - 1], H5I_DATASET);
        unit[0] = 0;
        if (set < 0)
                return false;
        (void)hdf_attribute_text(set, "units", unit, UNIT_ROOM);
        bool ok = hdf_shape(set, file_bytes, &shape, &e) == 0 && shape.real && shape.ndim == 1 &&
                  shape.dims[0] >= 2 && hdf_read_floats(set, start, count, 1, values, &e) == 0;
        H5Dclose(set);
        *ret = (double)values[1] - (double)values[0];
        return ok;
}

/* The one data set of the group that is no axis: "data", or a name of its own. */
static int find_data(void *ctx, hid_t group, const char *name, struct err *e)
{
        hid_t *set = ctx;
        (void)e;
        if (strncmp(name, "dim", 3) != 0 && *set < 0)
                *set = hdf_child(group, name, H5I_DATASET);
        return 0;
}

/* Which axis counts the frames: the one that is no length. Three lengths are a volume; without units it is
   the first. */
static int find_frames(const struct search *s, struct best *b, struct err *e)
{
        bool length[3];
        double step = 0, factor = 0;
        char unit[UNIT_ROOM];
        for (int i = 0; i < 3; i++) {
                (void)ncem_axis(b->group, i + 1, s->file_bytes, &step, unit);
                length[i] = unit_parse(unit, &factor) != IMAGE_UNKNOWN;
        }
        if (length[0] && length[1] && length[2] && b->shape.dims[0] > 1)
                return err_set(e, ERR_INVALID, "a volume is no image; send sections");
        b->frames_last = length[0] && length[1] && !length[2];
        return 0;
}

static void take_ncem(struct search *s, hid_t parent, const char *name)
{
        struct best b = {.group = hdf_child(parent, name, H5I_GROUP), .set = H5I_INVALID_HID};
        if (b.group >= 0)
                b.set = hdf_child(b.group, "data", H5I_DATASET);
        if (b.group >= 0 && b.set < 0)
                (void)hdf_each(b.group, find_data, &b.set, &s->why);
        int rc = b.set >= 0 ? measure(s, &b, &s->why) : ERR_INVALID;
        if (rc == 0 && b.shape.ndim == 3)
                rc = find_frames(s, &b, &s->why);
        if (rc == 0)
                rc = set_size(&b, &s->why);
        if (rc == 0)
                consider(s, &b);
        else
                best_close(&b);
}

static int visit_ncem(void *ctx, hid_t parent, const char *name, struct err *e)
{
        struct search *s = ctx;
        double kind = 0;
        hid_t group = hdf_child(parent, name, H5I_GROUP);
        int rc = 0;
        if (group < 0)
                return 0;
        if (++s->groups > MAX_GROUPS || s->depth >= MAX_DEPTH)
                rc = err_set(e, ERR_TOO_LARGE, "more than %d groups, or %d deep", MAX_GROUPS, MAX_DEPTH);
        else if (hdf_attribute_number(group, "emd_group_type", &kind) && kind == 1)
                take_ncem(s, parent, name);
        else {
                s->depth++;
                rc = hdf_each(group, visit_ncem, s, e);
                s->depth--;
        }
        H5Gclose(group);
        return rc;
}

static int find_image(hid_t file, struct search *s, struct err *e)
{
        hid_t root = H5Gopen2(file, "/", H5P_DEFAULT);
        if (root < 0)
                return hdf_damaged(e);
        hid_t data = hdf_child(root, "Data", H5I_GROUP);
        hid_t images = data < 0 ? data : hdf_child(data, "Image", H5I_GROUP);
        int rc = images < 0 ? hdf_each(root, visit_ncem, s, e) : hdf_each(images, visit_velox, s, e);
        if (images >= 0)
                H5Gclose(images);
        if (data >= 0)
                H5Gclose(data);
        H5Gclose(root);
        if (rc != 0 || s->best.set >= 0)
                return rc;
        if (s->why.code)
                *e = s->why;
        else
                err_set(e, ERR_INVALID, "HDF5 without an image as Velox or NCEM write it");
        return e->code;
}

/* {"BinaryResult":{"PixelSize":{"width":"1e-10","height":…},"PixelUnitX":"m"}} in the first column. */
static void velox_pixel(const struct search *s, struct image *im)
{
        struct hdf_shape shape = {0};
        struct err e;
        hid_t set = hdf_child(s->best.group, "Metadata", H5I_DATASET);
        if (set < 0)
                return;
        if (hdf_shape(set, s->file_bytes, &shape, &e) == 0 && shape.real && shape.bytes == 1 &&
                shape.ndim == 2 && shape.dims[0] >= 1 && shape.dims[0] <= METADATA_BYTES &&
                shape.dims[1] >= 1) {
                const uint64_t start[2] = {0}, count[2] = {shape.dims[0], 1};
                char *text = calloc(1, (size_t)shape.dims[0] + 1);
                if (text && hdf_read_bytes(set, start, count, 2, (unsigned char *)text, &e) == 0) {
                        cJSON *tree = json_parse(text, strlen(text), &e);
                        const cJSON *result = json_field(tree, "BinaryResult"),
                                    *size = json_field(result, "PixelSize");
                        const cJSON *w = json_field(size, "width"), *h = json_field(size, "height");
                        const cJSON *unit = json_field(result, "PixelUnitX");
                        if (cJSON_IsString(w) && cJSON_IsString(h))
                                image_set_pixel(im, strtod(h->valuestring, NULL),
                                        strtod(w->valuestring, NULL),
                                        cJSON_IsString(unit) ? unit->valuestring : "m");
                        cJSON_Delete(tree);
                }
                free(text);
        }
        H5Dclose(set);
}

static void ncem_pixel(const struct search *s, struct image *im)
{
        double h = 0, w = 0;
        char unit_h[UNIT_ROOM], unit_w[UNIT_ROOM];
        int last = s->best.frames_last ? 2 : s->best.shape.ndim;
        if (ncem_axis(s->best.group, last - 1, s->file_bytes, &h, unit_h) &&
                ncem_axis(s->best.group, last, s->file_bytes, &w, unit_w) && strcmp(unit_h, unit_w) == 0)
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

static int read_image(const struct search *s, struct image *im, struct err *e)
{
        const struct best *b = &s->best;
        const uint64_t start[HDF_MAX_DIMS] = {0};
        int rc = image_create(b->n, 1, b->h, b->w, im, e);
        if (rc == 0)
                rc = hdf_read_floats(b->set, start, b->shape.dims, b->shape.ndim, im->pixels, e);
        if (rc == 0 && b->frames_last && b->n > 1)
                rc = frames_first(im, e);
        if (rc == 0)
                rc = image_check_finite(im, e);
        if (rc != 0)
                return rc;
        size_t count = (size_t)im->n * (size_t)im->h * (size_t)im->w;
        float most = b->shape.bytes == 1 ? 255.0f : 65535.0f;
        for (size_t i = 0; !b->shape.is_float && !b->shape.is_signed && b->shape.bytes <= 2 && i < count; i++)
                im->pixels[i] /= most;
        if (b->velox)
                velox_pixel(s, im);
        else
                ncem_pixel(s, im);
        return 0;
}

int emd_decode(const unsigned char *bytes, size_t len, struct image *ret, struct err *e)
{
        struct search s = {.file_bytes = len, .best = {.group = H5I_INVALID_HID, .set = H5I_INVALID_HID}};
        struct image im = {0};
        hid_t file = H5I_INVALID_HID;
        int rc = hdf_open(bytes, len, &file, e);
        if (rc != 0)
                return rc;
        rc = find_image(file, &s, e);
        if (rc == 0)
                rc = read_image(&s, &im, e);
        best_close(&s.best);
        hdf_close(file);
        if (rc == 0)
                *ret = im;
        else
                image_finish(&im);
        return rc;
}
