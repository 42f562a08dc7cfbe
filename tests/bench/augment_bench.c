/* augment-bench: images per second through the gathering with an augmentation, kernels and all.

   augment-bench [--input CxHxW] [--batch N] [--seconds S] [--device SPEC] JSON…     JSON as a job's
   "augment", [] for none */
#include "base/clock.h"
#include "base/json.h"
#include "net/plan.h"
#include "train/transform.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { IMAGES = 1024 };

struct options {
        const char *device;
        int c, h, w, batch;
        double seconds;
};

struct bench {
        struct dev *dev;
        struct buf *images, *order, *batch;
};

static int prepare(struct bench *b, const struct options *o, struct err *e)
{
        size_t values = (size_t)o->c * (size_t)o->h * (size_t)o->w, bytes = values * IMAGES;
        unsigned char *images = malloc(bytes);
        int32_t order[IMAGES];
        int rc = images ? dev_open(o->device, NULL, &b->dev, e) : err_set(e, ERR_NO_MEMORY, "no memory");
        for (size_t i = 0; rc == 0 && i < bytes; i++)
                images[i] = (unsigned char)(i * 2654435761u >> 16);
        for (int i = 0; i < IMAGES; i++)
                order[i] = (i * 7) % IMAGES;
        if (rc == 0)
                rc = buf_create(b->dev, bytes, "images", &b->images, e);
        if (rc == 0)
                rc = buf_write(b->images, 0, images, bytes, e);
        if (rc == 0)
                rc = buf_create(b->dev, sizeof order, "order", &b->order, e);
        if (rc == 0)
                rc = buf_write(b->order, 0, order, sizeof order, e);
        if (rc == 0)
                rc = buf_create(b->dev, (size_t)(o->batch + TENSOR_MAX_LANES) * values * sizeof(float),
                        "batch", &b->batch, e);
        free(images);
        return rc;
}

static int measure(struct bench *b, const struct options *o, const char *text, struct err *e)
{
        struct augment augment = {0};
        struct transform *t = NULL;
        cJSON *json = json_parse(text, strlen(text), e);
        struct transform_spec spec = {.augment = &augment, .s = {o->c, o->h, o->w}, .n = o->batch};
        int rounds = 0, rc = json ? augment_parse(json, &augment, e) : e->code;
        spec.lanes = rc == 0 ? plan_lanes(dev_info(b->dev), PLAN_TRAIN, o->batch) : 1;
        if (rc == 0)
                rc = transform_create(b->dev, &spec, &t, e);
        const struct tensor x = tensor_whole((struct view){b->batch, 0}, o->batch, spec.s, spec.lanes);
        double from = clock_now_s();
        for (int i = -3; rc == 0 && (i < 1 || clock_now_s() - from < o->seconds); i++) {
                const struct gather g = {.images = b->images,
                        .order = b->order,
                        .bytes = true,
                        .channels = o->c,
                        .h = o->h,
                        .w = o->w};
                const struct gather_draw draw = {.seed = 1, .position = i + 3};
                rc = transform_run(t, &g, &draw, &x, NULL, b->dev, e);
                if (rc == 0)
                        rc = dev_finish(b->dev, e);
                rounds = i + 1;
                if (i < 0)
                        from = clock_now_s();
        }
        double taken = clock_now_s() - from;
        if (rc == 0)
                printf("%9.0f images/s, %7.2f us an image, %6.0f us a batch of %d: %s\n",
                        rounds * o->batch / taken, taken / rounds / o->batch * 1e6, taken / rounds * 1e6,
                        o->batch, text);
        transform_destroy(t);
        cJSON_Delete(json);
        return rc;
}

static int parse(int argc, char **argv, struct options *o)
{
        int i = 1;
        for (; i + 1 < argc && strncmp(argv[i], "--", 2) == 0; i += 2) {
                const char *value = argv[i + 1];
                if (strcmp(argv[i], "--device") == 0)
                        o->device = value;
                else if (strcmp(argv[i], "--batch") == 0)
                        o->batch = atoi(value);
                else if (strcmp(argv[i], "--seconds") == 0)
                        o->seconds = atof(value);
                else if (strcmp(argv[i], "--input") != 0 ||
                         sscanf(value, "%dx%dx%d", &o->c, &o->h, &o->w) != 3)
                        return -1;
        }
        return i < argc && o->batch > 0 && o->batch <= IMAGES ? i : -1;
}

int main(int argc, char **argv)
{
        const char *device = getenv("CNND_DEVICE");
        struct options o = {
                .device = device ? device : "all", .c = 1, .h = 28, .w = 28, .batch = 128, .seconds = 1};
        struct bench b = {0};
        struct err e = {0};
        int first = parse(argc, argv, &o);
        if (first < 0) {
                fprintf(stderr, "usage: augment-bench [--input CxHxW] [--batch N] [--seconds S] [--device "
                                "SPEC] JSON...\n");
                return 2;
        }
        int rc = prepare(&b, &o, &e);
        for (int i = first; i < argc && rc == 0; i++)
                rc = measure(&b, &o, argv[i], &e);
        if (rc)
                fprintf(stderr, "augment-bench: %s %s\n%s", e.message, e.pointer, e.log);
        buf_destroy(b.images);
        buf_destroy(b.order);
        buf_destroy(b.batch);
        dev_close(b.dev);
        return rc ? 1 : 0;
}
