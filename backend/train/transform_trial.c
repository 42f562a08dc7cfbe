#include "train/transform_trial.h"
#include "base/philox.h"
#include "ops/area.h"
#include "train/transform_ref.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SIDE = 6, RESIZED_H = 9, RESIZED_W = 5, POSITION = 5, EPOCH = 2, SEEDS = 3, MOST_VALUES = 16384 };

struct trial {
        struct dev *dev;
        struct transform_spec spec;
        bool bytes, lie;
        int source_h, source_w;
        uint64_t seed;
        struct buf *images, *order;
        struct area x;
        void *source;         /* of all images, as uploaded */
        double *image, *want; /* one image before, all after */
        float *got;
};

static int source_values(const struct trial *t)
{
        return t->spec.s.c * t->source_h * t->source_w;
}

static double source_at(const struct trial *t, int image, int k)
{
        size_t at = (size_t)image * (size_t)source_values(t) + (size_t)k;
        return t->bytes ? ((const unsigned char *)t->source)[at] / 255.0
                        : (double)((const float *)t->source)[at];
}

static int prepare(struct trial *t, struct err *e)
{
        int n = t->spec.n, values = source_values(t) * n;
        size_t size = t->bytes ? 1 : sizeof(float), count = (size_t)n * (size_t)shape_count(t->spec.s);
        int32_t *order = calloc((size_t)(POSITION + n), sizeof *order);
        t->source = malloc((size_t)values * size);
        t->image = malloc((size_t)source_values(t) * sizeof *t->image);
        t->want = malloc(count * sizeof *t->want);
        t->got = malloc(count * sizeof *t->got);
        int rc = order && t->source && t->image && t->want && t->got
                         ? 0
                         : err_set(e, ERR_NO_MEMORY, "no memory for a trial");
        for (int i = 0; rc == 0 && i < values; i++) {
                uint32_t words[4];
                philox(t->seed, PHILOX_INIT, 0, (uint64_t)i, words);
                if (t->bytes)
                        ((unsigned char *)t->source)[i] = (unsigned char)words[0];
                else
                        ((float *)t->source)[i] = philox_uniform(words[0]);
        }
        for (int i = 0; rc == 0 && i < n; i++)
                order[POSITION + i] = n - 1 - i;
        if (rc == 0)
                rc = buf_create(t->dev, (size_t)values * size, "a trial's images", &t->images, e);
        if (rc == 0)
                rc = buf_write(t->images, 0, t->source, (size_t)values * size, e);
        if (rc == 0)
                rc = buf_create(
                        t->dev, (size_t)(POSITION + n) * sizeof *order, "a trial's order", &t->order, e);
        if (rc == 0)
                rc = buf_write(t->order, 0, order, (size_t)(POSITION + n) * sizeof *order, e);
        if (rc == 0)
                rc = area_tensor(&t->x, "the batch", n, t->spec.s, t->spec.lanes, false, e);
        if (rc == 0)
                rc = area_upload(&t->x, t->dev, e);
        free(order);
        return rc;
}

static int run_device(struct trial *t, struct err *e)
{
        const struct gather g = {.images = t->images,
                .order = t->order,
                .first = POSITION,
                .bytes = t->bytes,
                .channels = t->spec.s.c,
                .h = t->source_h,
                .w = t->source_w};
        const struct gather_draw draw = {.seed = t->seed, .epoch = EPOCH, .position = POSITION};
        struct transform *transform;
        int rc = transform_create(t->dev, &t->spec, &transform, e);
        if (rc)
                return rc;
        rc = transform_run(transform, &g, &draw, &t->x.tensor, NULL, t->dev, e);
        if (rc == 0)
                rc = dev_finish(t->dev, e);
        if (rc == 0)
                rc = area_download(&t->x, e);
        if (rc == 0)
                rc = area_take(&t->x, t->got, AREA_PADDING_ZERO, e);
        if (rc == 0 && t->lie)
                t->got[0] += 1;
        transform_destroy(transform);
        return rc;
}

static int run_reference(struct trial *t, struct err *e)
{
        const struct transform_ref r = {.augment = t->spec.augment,
                .normalize = t->spec.normalize,
                .source_h = t->source_h,
                .source_w = t->source_w,
                .s = t->spec.s,
                .seed = t->seed,
                .epoch = EPOCH};
        int rc = 0;
        for (int i = 0; i < t->spec.n && rc == 0; i++) {
                for (int k = 0; k < source_values(t); k++)
                        t->image[k] = source_at(t, t->spec.n - 1 - i, k);
                rc = transform_ref(
                        &r, POSITION + i, t->image, t->want + (size_t)i * (size_t)shape_count(t->spec.s), e);
        }
        return rc;
}

/* The largest number that a step adds to pixels or multiplies them with: a mean that is taken off behind it
   leaves its rounding. */
static double largest_step(const struct augment *a)
{
        double top = 0;
        for (int i = 0; a && i < a->count; i++)
                for (int k = 0; k < AUGMENT_FIELDS; k++)
                        if (a->steps[i].kind->class == AUGMENT_POINT ||
                                a->steps[i].kind->class == AUGMENT_MEAN_POINT)
                                top = fmax(top, fabs(a->steps[i].values[k]));
        return top;
}

static int judge(const struct trial *t, struct err *e)
{
        int64_t count = t->spec.n * shape_count(t->spec.s);
        double top = fmax(1, largest_step(t->spec.augment) / 100);
        for (int64_t i = 0; i < count; i++)
                top = fmax(top, fabs(t->want[i]));
        for (int64_t i = 0; i < count; i++)
                if (!(fabs((double)t->got[i] - t->want[i]) <= 1e-3 * top))
                        return err_set(e, ERR_DEVICE,
                                "this device prepares images wrongly: %.9g where it should be %.9g. Its "
                                "driver computes wrong "
                                "numbers; use another device, or leave out what \"augment\" lists",
                                (double)t->got[i], t->want[i]);
        return 0;
}

static int run_once(struct trial *t, struct err *e)
{
        int rc = prepare(t, e);
        if (rc == 0)
                rc = run_device(t, e);
        if (rc == 0)
                rc = run_reference(t, e);
        if (rc == 0)
                rc = judge(t, e);
        area_finish(&t->x);
        buf_destroy(t->images);
        buf_destroy(t->order);
        free(t->source);
        free(t->image);
        free(t->want);
        free(t->got);
        return rc;
}

int transform_trial(struct dev *d, const struct transform_spec *spec, bool bytes, bool resized, struct err *e)
{
        const char *lie = getenv("CNND_TEST_LIE");
        int rc = ERR_DEVICE;
        for (uint64_t seed = 1; seed <= SEEDS && rc == ERR_DEVICE; seed++) {
                struct trial t = {.dev = d,
                        .spec = *spec,
                        .bytes = bytes,
                        .lie = lie && strcmp(lie, "transform") == 0,
                        .source_h = resized ? RESIZED_H : SIDE,
                        .source_w = resized ? RESIZED_W : SIDE,
                        .seed = seed};
                t.spec.s.h = t.spec.s.w = SIDE;
                t.spec.n = spec->lanes > 1 ? spec->lanes + 3 : 3;
                while (t.spec.n > 1 && t.spec.n * shape_count(t.spec.s) > MOST_VALUES)
                        t.spec.n--;
                rc = run_once(&t, e);
        }
        return rc;
}
