#include "daemon/worker/evaluate.h"

#include "base/json.h"
#include "daemon/common/wire.h"
#include "daemon/worker/outcome.h"
#include "data/dataset.h"
#include "data/image.h"
#include "data/name.h"
#include "data/origins.h"
#include "train/infer.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct evaluate_job {
        const char *model_name; /* as it stands in the result */
        const struct dataset *data;
        const struct origins *origins; /* of its val split */
        int limit;                     /* images at most; 0: all */
        const char *result_path;
};

struct evaluation {
        struct infer *model;
        struct loaded *loaded; /* that may be in its way */
        const struct dataset *data;
        int count, classes, batch;
        bool by_name;         /* the model's classes are the data set's, in whatever order */
        int32_t *class_of;    /* owned; of each of the model's classes, the data set's */
        float *logits;        /* owned; batch x classes */
        int32_t *predictions; /* owned; count, as the next */
        float *probabilities;
};

static void read_images(const struct dataset *d, int first, int n, float *out)
{
        size_t values = (size_t)d->c * (size_t)d->h * (size_t)d->w, total = values * (size_t)n;
        if (d->type == DATASET_U8) {
                const uint8_t *in = (const uint8_t *)d->split[DATASET_VAL].images + values * (size_t)first;
                for (size_t i = 0; i < total; i++)
                        out[i] = (float)in[i] / 255.0f;
        } else {
                memcpy(out, (const float *)d->split[DATASET_VAL].images + values * (size_t)first,
                        total * sizeof *out);
        }
}

/* The softmax of the largest, as predictions_rank has it. */
static float probability_of(const float *logits, int best, int classes)
{
        double sum = 0;
        for (int k = 0; k < classes; k++)
                sum += exp((double)logits[k] - (double)logits[best]);
        return (float)(1 / sum);
}

static int run_batch(struct evaluation *ev, int first, int n, struct err *e)
{
        const struct dataset *d = ev->data;
        int c, h, w, classes;
        struct image im = {.n = n, .c = d->c, .h = d->h, .w = d->w};
        infer_shape(ev->model, &c, &h, &w, &classes);
        im.pixels = malloc((size_t)n * (size_t)d->c * (size_t)d->h * (size_t)d->w * sizeof *im.pixels);
        if (!im.pixels)
                return err_set(e, ERR_NO_MEMORY, "no memory for %d images", n);
        read_images(d, first, n, im.pixels);
        int rc = image_fit(&im, c, h, w, e);
        if (rc == 0)
                do
                        rc = infer_run(ev->model, im.pixels, n, ev->logits, e);
                while (loaded_make_room(ev->loaded, NULL, rc));
        image_finish(&im);
        for (int i = 0; rc == 0 && i < n; i++) {
                const float *row = ev->logits + (size_t)i * (size_t)classes;
                int best = 0;
                for (int k = 0; k < classes; k++) {
                        if (!isfinite(row[k]))
                                return err_set(e, ERR_INVALID,
                                        "image %d of the data set: the model's numbers leave the range of a "
                                        "float; it has no class",
                                        first + i);
                        if (row[k] > row[best])
                                best = k;
                }
                ev->predictions[first + i] = ev->class_of[best];
                ev->probabilities[first + i] = probability_of(row, best, classes);
        }
        return rc;
}

/* Names in one spelling: models and data sets of before have others. */
struct spellings {
        char **model, **data; /* owned; a name a class */
};

static void spellings_finish(struct spellings *s, int classes)
{
        for (int k = 0; k < classes; k++) {
                free(s->model ? s->model[k] : NULL);
                free(s->data ? s->data[k] : NULL);
        }
        free(s->model);
        free(s->data);
}

/* To be finished, also after an error. */
static int spellings_make(const struct evaluation *ev, struct spellings *ret, struct err *e)
{
        *ret = (struct spellings){calloc((size_t)ev->classes, sizeof *ret->model),
                calloc((size_t)ev->classes, sizeof *ret->data)};
        bool whole = ret->model && ret->data;
        for (int k = 0; k < ev->classes && whole; k++) {
                ret->model[k] = name_normal(infer_class(ev->model, k));
                ret->data[k] = name_normal(ev->data->classes[k]);
                whole = ret->model[k] && ret->data[k];
        }
        return whole ? 0 : err_set(e, ERR_NO_MEMORY, "no memory for %d classes", ev->classes);
}

/* Whether each of the model's names stands once in the data set, whose places then go to `ret`. */
static bool same_names(const struct spellings *s, int classes, int32_t *ret)
{
        for (int k = 0; k < classes; k++) {
                int found = 0;
                for (int i = 0; i < classes; i++)
                        if (strcmp(s->data[i], s->model[k]) == 0) {
                                ret[k] = i;
                                found++;
                        }
                for (int i = 0; i < k && found; i++)
                        found += ret[i] == ret[k]; /* two of one name */
                if (found != 1)
                        return false;
        }
        return true;
}

/* By name, so that a data set whose folders sort otherwise is scored rightly; else number by number. */
static int match_classes(struct evaluation *ev, struct err *e)
{
        struct spellings s;
        ev->class_of = malloc((size_t)ev->classes * sizeof *ev->class_of);
        int rc = spellings_make(ev, &s, e);
        if (rc == 0 && !ev->class_of)
                rc = err_set(e, ERR_NO_MEMORY, "no memory for %d classes", ev->classes);
        if (rc == 0)
                ev->by_name = same_names(&s, ev->classes, ev->class_of);
        for (int k = 0; rc == 0 && k < ev->classes && !ev->by_name; k++)
                ev->class_of[k] = k;
        spellings_finish(&s, ev->classes);
        return rc;
}

static int finish(const struct evaluation *ev, const struct evaluate_job *job, struct err *e)
{
        size_t k = (size_t)ev->classes;
        if (ev->classes > WIRE_MAX_SCORED)
                return err_set(e, ERR_TOO_LARGE, "a confusion matrix of %d classes; at most %d are counted",
                        ev->classes, WIRE_MAX_SCORED);
        int64_t *counts = calloc(k * k, sizeof *counts);
        if (!counts)
                return err_set(
                        e, ERR_NO_MEMORY, "no memory for a confusion matrix of %d classes", ev->classes);
        for (int i = 0; i < ev->count; i++)
                counts[(size_t)ev->data->split[DATASET_VAL].labels[i] * k + (size_t)ev->predictions[i]]++;
        const struct outcome o = {.model = job->model_name,
                .model_import = infer_recipe(ev->model),
                .data = ev->data,
                .origins = job->origins,
                .by_name = ev->by_name,
                .count = ev->count,
                .classes = ev->classes,
                .predictions = ev->predictions,
                .probabilities = ev->probabilities,
                .counts = counts};
        int rc = outcome_write(&o, job->result_path, e);
        free(counts);
        return rc;
}

static int run(struct infer *m, struct loaded *l, const struct evaluate_job *job,
        enum train_want (*between)(void *ctx), void *ctx, struct train_outcome *ret, struct err *e)
{
        struct evaluation ev = {.model = m,
                .loaded = l,
                .data = job->data,
                .count = job->data->split[DATASET_VAL].count,
                .batch = infer_part(m)};
        int c, h, w, rc = 0;
        enum train_end end = TRAIN_DONE;
        infer_shape(m, &c, &h, &w, &ev.classes);
        if (ev.classes != job->data->num_classes)
                return err_at(e, ERR_INVALID, "/dataset", "the model has %d classes, the data set %d",
                        ev.classes, job->data->num_classes);
        if (job->limit && job->limit < ev.count)
                ev.count = job->limit;
        rc = match_classes(&ev, e);
        ev.logits = malloc((size_t)ev.batch * (size_t)ev.classes * sizeof *ev.logits);
        ev.predictions = malloc(((size_t)ev.count + 1) * sizeof *ev.predictions);
        ev.probabilities = malloc(((size_t)ev.count + 1) * sizeof *ev.probabilities);
        if (rc == 0 && (!ev.logits || !ev.predictions || !ev.probabilities))
                rc = err_set(e, ERR_NO_MEMORY, "no memory for %d predictions", ev.count);
        int done = 0;
        while (rc == 0 && done < ev.count) {
                enum train_want want = between(ctx);
                if (want != TRAIN_GO) {
                        end = want == TRAIN_STOP ? TRAIN_STOPPED : TRAIN_CANCELLED;
                        break;
                }
                int n = ev.count - done < ev.batch ? ev.count - done : ev.batch;
                rc = run_batch(&ev, done, n, e);
                done += n;
        }
        if (rc == 0 && end == TRAIN_DONE)
                rc = finish(&ev, job, e);
        free(ev.class_of);
        free(ev.logits);
        free(ev.predictions);
        free(ev.probabilities);
        if (rc == 0)
                *ret = (struct train_outcome){.end = end, .step = done};
        return rc;
}

/* Its list of files, too, is to be whole before all images are looked at. */
static int open_data(const char *path, struct dataset **ret, struct origins *ret_origins, struct err *e)
{
        int rc = dataset_open(path, ret, e);
        if (rc == 0 && (rc = origins_open(*ret, DATASET_VAL, ret_origins, e)) != 0)
                err_wrap(e, "the data set '%s'", (*ret)->name);
        return rc;
}

int evaluate_run(struct dev *d, const struct strategies *known, struct loaded *l, const cJSON *head,
        enum train_want (*between)(void *ctx), void *ctx, struct train_outcome *ret, struct err *e)
{
        char path[PATH_MAX];
        struct dataset *data = NULL;
        struct origins origins;
        struct infer *model = NULL;
        const char *dir = NULL;
        int64_t limit = 0;
        int rc = wire_need_text(head, "dir", &dir, e);
        if (rc == 0)
                rc = json_get_int(head, "limit", 0, INT_MAX, "", &limit, e);
        if (rc == 0)
                rc = open_data(wire_text(head, "dataset"), &data, &origins, e);
        if (rc == 0)
                do
                        rc = infer_create(d, known, wire_text(head, "model"), &model, e);
                while (loaded_make_room(l, NULL, rc));
        if (rc == 0) {
                snprintf(path, sizeof path, "%s/result.json", dir);
                const struct evaluate_job job = {.model_name = wire_text(head, "name"),
                        .data = data,
                        .origins = &origins,
                        .limit = (int)limit,
                        .result_path = path};
                rc = run(model, l, &job, between, ctx, ret, e);
                ret->device_bytes = dev_bytes(d);
        }
        infer_destroy(model);
        dataset_close(data);
        return rc;
}
