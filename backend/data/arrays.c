#include "data/arrays.h"

#include "data/decoder.h"
#include "data/sample.h"
#include "data/span.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
        const char *images, *labels;
        enum intake_split split;
        bool test;
} pairs[] = {
        {"x", "y", INTAKE_OPEN, false},
        {"images", "labels", INTAKE_OPEN, false},
        {"x_train", "y_train", INTAKE_TRAIN, false},
        {"x_val", "y_val", INTAKE_VAL, false},
        {"x_test", "y_test", INTAKE_VAL, true},
        {"train_images", "train_labels", INTAKE_TRAIN, false},
        {"val_images", "val_labels", INTAKE_VAL, false},
        {"test_images", "test_labels", INTAKE_VAL, true},
};
enum { PAIRS = sizeof pairs / sizeof pairs[0] };

bool arrays_is_name(const char *name)
{
        for (int i = 0; i < PAIRS; i++)
                if (strcmp(pairs[i].images, name) == 0 || strcmp(pairs[i].labels, name) == 0)
                        return true;
        return false;
}

static const struct import_array *find(const struct import_array *arrays, int count, const char *name)
{
        for (int i = 0; i < count; i++)
                if (strcmp(arrays[i].name, name) == 0)
                        return &arrays[i];
        return NULL;
}

static int64_t whole_at(const struct import_array *a, uint64_t i)
{
        uint64_t bits = span_uint(a->data + i * (uint64_t)a->size, a->size, a->big_endian);
        int shift = 64 - 8 * a->size;
        return a->kind == 'i' ? (int64_t)(bits << shift) >> shift : (int64_t)bits;
}

static int check_labels(const struct import_array *y, uint64_t n, struct err *e)
{
        if (y->kind == 'f')
                return err_set(e, ERR_INVALID, "%s holds numbers with fractions; labels are whole", y->name);
        if (y->ndim < 1 || y->ndim > 2 || (y->ndim == 2 && y->dims[1] != 1))
                return err_set(
                        e, ERR_INVALID, "%s has %d dimensions; labels are (N) or (N,1)", y->name, y->ndim);
        if (y->dims[0] != n)
                return err_set(e, ERR_INVALID, "%s has %llu labels for %llu images", y->name,
                        (unsigned long long)y->dims[0], (unsigned long long)n);
        for (uint64_t i = 0; i < n; i++)
                if (whole_at(y, i) < 0 || whole_at(y, i) >= DATASET_MAX_CLASSES)
                        return err_set(e, ERR_INVALID, "%s: label %lld of image %llu is outside 0 to %d",
                                y->name, (long long)whole_at(y, i), (unsigned long long)i,
                                DATASET_MAX_CLASSES - 1);
        return 0;
}

/* (c,h,w) of one image, and whether channels come last. */
static int image_shape(const struct import_array *x, uint64_t chw[3], bool *ret_last, struct err *e)
{
        bool first = x->ndim == 4 && (x->dims[1] == 1 || x->dims[1] == 3);
        bool last = !first && x->ndim == 4 && (x->dims[3] == 1 || x->dims[3] == 3);
        if (x->ndim != 3 && !first && !last)
                return err_set(e, ERR_INVALID,
                        "%s has %d dimensions or odd channels; images are (N,H,W), (N,C,H,W) or (N,H,W,C) "
                        "with C 1 or 3",
                        x->name, x->ndim);
        int h = first ? 2 : 1;
        chw[0] = first ? x->dims[1] : last ? x->dims[3] : 1;
        chw[1] = x->dims[h];
        chw[2] = x->dims[h + 1];
        *ret_last = last;
        return image_check(1, chw[0], chw[1], chw[2], e);
}

/* Image `i` of the array; the bounds were checked. */
static int take_image(const struct import_array *x, uint64_t i, const uint64_t chw[3], bool last,
        struct image *ret, struct err *e)
{
        struct image im;
        struct sample s = {x->kind == 'f'   ? SAMPLE_FLOAT
                           : x->kind == 'i' ? SAMPLE_INT
                                            : SAMPLE_UINT,
                x->size, x->big_endian};
        size_t c = (size_t)chw[0], plane = (size_t)(chw[1] * chw[2]), size = (size_t)x->size;
        const unsigned char *from = x->data + i * c * plane * size;
        int rc = image_create(1, chw[0], chw[1], chw[2], &im, e);
        if (rc != 0)
                return rc;
        for (size_t k = 0; k < c; k++)
                sample_read(&s, from + (last ? k : k * plane) * size, last ? c * size : size, plane,
                        im.pixels + k * plane);
        for (size_t k = 0; x->kind == 'b' && k < c * plane; k++)
                im.pixels[k] = im.pixels[k] > 0;
        rc = image_check_finite(&im, e);
        if (rc != 0)
                image_finish(&im);
        else
                *ret = im;
        return rc;
}

static int read_pair(struct intake *in, const struct import_array *x, const struct import_array *y,
        enum intake_split split, int32_t *most, struct err *e)
{
        uint64_t chw[3] = {0};
        bool last = false;
        int rc = image_shape(x, chw, &last, e);
        if (rc == 0)
                rc = check_labels(y, x->dims[0], e);
        for (uint64_t i = 0; rc == 0 && i < x->dims[0]; i++) {
                char name[80];
                struct intake_source *s = NULL;
                struct image im;
                struct err why = {0};
                snprintf(name, sizeof name, "%.40s[%llu]", x->name, (unsigned long long)i);
                rc = take_image(x, i, chw, last, &im, &why);
                if (rc == 0) {
                        rc = intake_image(in, name, 0, &im, &s, &why);
                        image_finish(&im);
                }
                if (rc != 0)
                        return err_set(e, rc, "%s: %s", name, why.message);
                s->label = (int32_t)whole_at(y, i);
                s->split = split;
                *most = s->label > *most ? s->label : *most;
        }
        return rc;
}

static int name_classes(struct intake *in, int count, struct err *e)
{
        char name[16];
        in->classes = calloc((size_t)count, sizeof *in->classes);
        for (int i = 0; in->classes && i < count; i++) {
                snprintf(name, sizeof name, "%d", i);
                if (!(in->classes[i] = strdup(name)))
                        return err_set(e, ERR_NO_MEMORY, "no memory for class names");
                in->num_classes++;
        }
        return in->classes ? 0 : err_set(e, ERR_NO_MEMORY, "no memory for class names");
}

/* Pairs with splits, or the one without; test only where there is no val. */
int arrays_read(struct intake *in, const struct import_array *arrays, int count, struct err *e)
{
        const struct import_array *x[PAIRS], *y[PAIRS];
        bool train = false, val = false, found = false;
        int32_t most = 0;
        int rc = 0;
        for (int i = 0; i < PAIRS; i++) {
                x[i] = find(arrays, count, pairs[i].images);
                y[i] = find(arrays, count, pairs[i].labels);
                if (!x[i] != !y[i])
                        return err_set(e, ERR_INVALID, "there is %s, but no %s",
                                x[i] ? x[i]->name : y[i]->name, x[i] ? pairs[i].labels : pairs[i].images);
                train |= x[i] && pairs[i].split == INTAKE_TRAIN;
                val |= x[i] && pairs[i].split == INTAKE_VAL && !pairs[i].test;
        }
        for (int i = 0; rc == 0 && i < PAIRS; i++) {
                if (!x[i] || (pairs[i].test && val) || (pairs[i].split == INTAKE_OPEN && train))
                        continue;
                found = true;
                rc = read_pair(in, x[i], y[i], pairs[i].split, &most, e);
        }
        if (rc == 0 && !found)
                rc = err_set(e, ERR_INVALID, "no arrays x and y, images and labels, or x_train and y_train");
        in->in_order = true;
        return rc != 0 ? rc : name_classes(in, most + 1, e);
}
