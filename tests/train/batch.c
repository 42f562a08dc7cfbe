#include "batch.h"

#include "base/json.h"
#include "base/philox.h"
#include "ops/area.h"
#include "train/transform_ref.h"

#include <math.h>

enum { IMAGES = 127 }; /* in the data set, a prime */

static cJSON *json_of(const char *text)
{
        struct err e = {0};
        cJSON *json = text ? json_parse(text, strlen(text), &e) : NULL;
        if (text && !json)
                fail_msg("%s: %s", text, e.message);
        return json;
}

void batch_parse(const struct batch *b, struct augment *augment, struct normalize *normalize)
{
        struct err e = {0};
        cJSON *steps = json_of(b->steps), *norm = json_of(b->normalize);
        *augment = (struct augment){0};
        *normalize = (struct normalize){0};
        CHECK_OK(augment_parse(steps, augment, &e), &e);
        CHECK_OK(normalize_parse(norm, "/dataset/normalize", normalize, &e), &e);
        cJSON_Delete(steps);
        cJSON_Delete(norm);
}

/* Image `index` of the data set. */
static double pixel(const struct batch *b, int index, int k)
{
        uint32_t words[4];
        philox(11, PHILOX_INIT, (uint32_t)index, (uint64_t)k, words);
        if (b->level > 0)
                return b->level;
        return b->bytes ? (double)(words[0] % 256) / 255 : (double)philox_uniform(words[0]) * 1.5 - 0.25;
}

static int at_position(int position)
{
        return (position * 7 + 5) % IMAGES;
}

struct device_side {
        struct buf *images, *order;
        struct area x;
};

static void upload(struct trainer *t, const struct batch *b, struct device_side *d)
{
        struct err e = {0};
        int count = IMAGES, values = b->s.c * b->source_h * b->source_w;
        size_t size = b->bytes ? 1 : sizeof(float);
        char *images = malloc((size_t)count * (size_t)values * size);
        int32_t *order = malloc((size_t)count * sizeof *order);
        assert_true(images && order);
        for (int i = 0; i < count; i++) {
                order[i] = at_position(i);
                for (int k = 0; k < values; k++) {
                        size_t at = (size_t)i * (size_t)values + (size_t)k;
                        if (b->bytes)
                                ((unsigned char *)images)[at] = (unsigned char)lround(pixel(b, i, k) * 255);
                        else
                                memcpy(images + at * size, &(float){(float)pixel(b, i, k)}, size);
                }
        }
        *d = (struct device_side){0};
        CHECK_OK(buf_create(t->dev, (size_t)count * (size_t)values * size, "images", &d->images, &e), &e);
        CHECK_OK(buf_create(t->dev, (size_t)count * sizeof *order, "order", &d->order, &e), &e);
        CHECK_OK(buf_write(d->images, 0, images, (size_t)count * (size_t)values * size, &e), &e);
        CHECK_OK(buf_write(d->order, 0, order, (size_t)count * sizeof *order, &e), &e);
        CHECK_OK(area_tensor(&d->x, "x", b->n, b->s, b->lanes, false, &e), &e);
        CHECK_OK(area_upload(&d->x, t->dev, &e), &e);
        free(images);
        free(order);
}

float *batch_on_device(struct trainer *t, const struct batch *b)
{
        struct err e = {0};
        struct augment augment;
        struct normalize normalize;
        struct device_side d;
        struct transform *transform = NULL;
        batch_parse(b, &augment, &normalize);
        upload(t, b, &d);
        uint64_t before = dev_bytes(t->dev);
        struct transform_spec spec = {.augment = &augment,
                .normalize = &normalize,
                .s = b->s,
                .n = b->room ? b->room : b->n,
                .lanes = b->lanes};
        struct transform_bytes bytes = transform_bytes(&spec);
        CHECK_OK(transform_create(t->dev, &spec, &transform, &e), &e);
        assert_int_equal(
                dev_bytes(t->dev) - before, (bytes.numbers ? buf_rounded(bytes.numbers) : 0) +
                                                    (bytes.scratch ? buf_rounded(bytes.scratch) : 0));
        const struct gather g = {.images = d.images,
                .order = d.order,
                .first = b->position,
                .bytes = b->bytes,
                .channels = b->s.c,
                .h = b->source_h,
                .w = b->source_w};
        const struct gather_draw draw = {
                .seed = 0x123456789abcdefu, .epoch = b->epoch, .position = b->position};
        CHECK_OK(transform_run(transform, &g, &draw, &d.x.tensor, NULL, t->dev, &e), &e);
        CHECK_OK(dev_finish(t->dev, &e), &e);
        float *out = malloc((size_t)b->n * (size_t)shape_count(b->s) * sizeof *out);
        assert_non_null(out);
        CHECK_OK(area_download(&d.x, &e), &e);
        CHECK_OK(area_take(&d.x, out, AREA_PADDING_ZERO, &e), &e);
        area_finish(&d.x);
        buf_destroy(d.images);
        buf_destroy(d.order);
        transform_destroy(transform);
        normalize_finish(&normalize);
        return out;
}

double *batch_by_reference(const struct batch *b)
{
        struct err e = {0};
        struct augment augment;
        struct normalize normalize;
        int count = (int)shape_count(b->s), values = b->s.c * b->source_h * b->source_w;
        double *out = malloc((size_t)b->n * (size_t)count * sizeof *out),
               *source = malloc((size_t)values * sizeof *source);
        assert_true(out && source);
        batch_parse(b, &augment, &normalize);
        const struct transform_ref r = {.augment = &augment,
                .normalize = &normalize,
                .source_h = b->source_h,
                .source_w = b->source_w,
                .s = b->s,
                .seed = 0x123456789abcdefu,
                .epoch = b->epoch};
        for (int i = 0; i < b->n; i++) {
                int index = at_position(b->position + i);
                for (int k = 0; k < values; k++)
                        source[k] = b->bytes ? pixel(b, index, k) : (double)(float)pixel(b, index, k);
                CHECK_OK(transform_ref(&r, b->position + i, source, out + (size_t)i * (size_t)count, &e), &e);
        }
        free(source);
        normalize_finish(&normalize);
        return out;
}
