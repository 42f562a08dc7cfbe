#include "train/feeder.h"
#include "train/gather.h"
#include "base/philox.h"
#include "train/transform.h"

#include <stdlib.h>
#include <string.h>

struct feeder {
        struct dev *dev;            /* borrowed */
        const struct dataset *data; /* borrowed */
        enum dataset_split split;
        int count;
        bool resident;
        uint64_t seed; /* of the order in force, and its epoch */
        uint32_t epoch;
        struct transform *transform;             /* owned */
        int32_t *order;                          /* owned; host copy */
        struct buf *images, *labels, *positions; /* owned */
        unsigned char *staging;                  /* owned; images of one batch where not resident */
        int32_t *staging_labels;                 /* owned */
};

static void identity(int32_t *order, int count)
{
        for (int i = 0; i < count; i++)
                order[i] = i;
}

static int upload_all(struct feeder *f, struct err *e)
{
        size_t bytes = dataset_image_bytes(f->data) * (size_t)f->count;
        int rc = buf_write(f->images, 0, f->data->split[f->split].images, bytes, e);
        if (rc == 0)
                rc = buf_write(
                        f->labels, 0, f->data->split[f->split].labels, (size_t)f->count * sizeof(int32_t), e);
        return rc;
}

int feeder_create(struct dev *d, const struct setup *s, const struct dataset *data, enum dataset_split split,
        struct feeder **ret, struct err *e)
{
        struct feeder *f = calloc(1, sizeof *f);
        if (!f)
                return err_set(e, ERR_NO_MEMORY, "no memory for a data set");
        *f = (struct feeder){
                .dev = d, .data = data, .split = split, .count = s->count[split], .resident = s->resident};
        f->order = malloc((size_t)f->count * sizeof *f->order);
        size_t held = s->order_bytes[split] / sizeof(int32_t);
        if (!f->resident) {
                f->staging = malloc(s->image_bytes[split]);
                f->staging_labels = malloc(s->split_label_bytes[split]);
        }
        int rc = 0;
        if (!f->order || (!f->resident && (!f->staging || !f->staging_labels)))
                rc = err_set(e, ERR_NO_MEMORY, "no memory for %d images", f->count);
        if (rc == 0)
                rc = buf_create(d, s->image_bytes[split], "the images", &f->images, e);
        if (rc == 0)
                rc = buf_create(d, s->split_label_bytes[split], "the labels", &f->labels, e);
        if (rc == 0)
                rc = buf_create(d, s->order_bytes[split], "the order of the images", &f->positions, e);
        if (rc == 0) {
                identity(f->order, f->count);
                rc = buf_write(f->positions, 0, f->order, held * sizeof(int32_t), e);
        }
        if (rc == 0 && f->resident)
                rc = upload_all(f, e);
        if (rc == 0)
                rc = transform_create(d, &s->transform[split], &f->transform, e);
        if (rc) {
                feeder_destroy(f);
                return rc;
        }
        *ret = f;
        return 0;
}

void feeder_destroy(struct feeder *f)
{
        if (!f)
                return;
        buf_destroy(f->images);
        buf_destroy(f->labels);
        buf_destroy(f->positions);
        transform_destroy(f->transform);
        free(f->order);
        free(f->staging);
        free(f->staging_labels);
        free(f);
}

/* Fisher and Yates, each draw from its own counter. */
static void shuffle_order(int32_t *order, int count, uint64_t seed, uint32_t epoch)
{
        for (int i = count - 1; i > 0; i--) {
                uint32_t words[4];
                philox(seed, PHILOX_SHUFFLE, epoch, (uint64_t)i, words);
                uint64_t word = (uint64_t)words[0] << 32 | words[1];
                int k = (int)(word % (uint64_t)(i + 1));
                int32_t swap = order[i];
                order[i] = order[k];
                order[k] = swap;
        }
}

int feeder_order(struct feeder *f, bool shuffle, uint64_t seed, uint32_t epoch, struct err *e)
{
        f->seed = seed;
        f->epoch = epoch;
        identity(f->order, f->count);
        if (shuffle)
                shuffle_order(f->order, f->count, seed, epoch);
        if (!f->resident)
                return 0; /* images are staged in order, positions stay 0, 1, 2 … */
        return buf_write(f->positions, 0, f->order, (size_t)f->count * sizeof(int32_t), e);
}

double feeder_weight(const struct feeder *f, int first, int n, const float *class_weights)
{
        double sum = 0;
        if (!class_weights)
                return n;
        for (int i = 0; i < n; i++)
                sum += (double)class_weights[f->data->split[f->split].labels[f->order[first + i]]];
        return sum;
}

/* Sends one batch; blocks, so that the staging area may be filled again. */
static int stage(struct feeder *f, int first, int n, struct err *e)
{
        size_t bytes = dataset_image_bytes(f->data);
        const unsigned char *images = f->data->split[f->split].images;
        for (int i = 0; i < n; i++) {
                int32_t at = f->order[first + i];
                memcpy(f->staging + (size_t)i * bytes, images + (size_t)at * bytes, bytes);
                f->staging_labels[i] = f->data->split[f->split].labels[at];
        }
        int rc = buf_write(f->images, 0, f->staging, (size_t)n * bytes, e);
        if (rc == 0)
                rc = buf_write(f->labels, 0, f->staging_labels, (size_t)n * sizeof(int32_t), e);
        return rc;
}

int feeder_next(struct feeder *f, int first, const struct tensor *x, const struct view *labels, struct err *e)
{
        struct gather g = {.images = f->images,
                .labels = f->labels,
                .order = f->positions,
                .first = first,
                .bytes = f->data->type == DATASET_U8,
                .channels = f->data->c,
                .h = f->data->h,
                .w = f->data->w};
        if (!f->resident) {
                int rc = stage(f, first, x->n, e);
                if (rc)
                        return rc;
                g.first = 0;
        }
        const struct gather_draw draw = {.seed = f->seed, .epoch = f->epoch, .position = first};
        return transform_run(f->transform, &g, &draw, x, labels, f->dev, e);
}
