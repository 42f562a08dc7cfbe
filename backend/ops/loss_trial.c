#include "ops/loss_trial.h"
#include "ops/area.h"
#include "ops/loss.h"
#include "ref/ref.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Results have a slot before and one behind the one that is asked for. */
enum { SLOT = 1, SLOTS = 3, AREAS = 6 };
static const float scale = 0.25f, before[2 * SLOTS] = {3, 5, 7, 11, 13, 17};

struct bench {
        struct area logits, dlogits, labels, weights, results, vars;
        float *x, *dx;  /* owned */
        int *label;     /* owned */
        double *weight; /* owned; of the classes */
};

static void list_areas(struct bench *b, struct area *list[AREAS])
{
        struct area *const all[AREAS] = {
                &b->logits, &b->labels, &b->weights, &b->results, &b->vars, &b->dlogits};
        memcpy(list, all, sizeof all);
}

static void put_ints(struct area *a, const int *from, size_t count)
{
        memcpy(a->host + a->tensor.at.offset, from, count * sizeof *from);
}

/* Class 0 weighs nothing. */
static void put_weights(const struct loss_trial *t, struct bench *b, uint64_t *seed)
{
        float *weights = b->weights.host + b->weights.tensor.at.offset;
        for (int k = 0; k < t->classes; k++) {
                weights[k] = k ? (float)(3 * trial_uniform(seed)) : 0.0f;
                b->weight[k] = (double)weights[k];
        }
}

static int prepare(const struct loss_trial *t, struct bench *b, uint64_t seed, struct err *e)
{
        int words[OP_VARS] = {[OP_VAR_SLOT] = SLOT};
        const size_t count = (size_t)t->n * (size_t)t->classes;
        const struct shape s = {t->classes, 1, 1};
        uint64_t garbage = 7;
        b->x = malloc(count * sizeof *b->x);
        b->dx = calloc(count, sizeof *b->dx);
        b->label = malloc((size_t)t->n * sizeof *b->label);
        b->weight = malloc((size_t)t->classes * sizeof *b->weight);
        if (!b->x || !b->dx || !b->label || !b->weight)
                return err_set(e, ERR_NO_MEMORY, "no memory for a trial");
        for (size_t i = 0; i < count; i++)
                b->x[i] = (float)(12 * trial_uniform(&seed) - 6);
        for (int i = 0; i < t->n; i++)
                b->label[i] = (int)(trial_uniform(&seed) * t->classes);
        memcpy(&words[OP_VAR_SCALE], &scale, sizeof scale);
        int rc = area_tensor(&b->logits, "logits", t->n, s, t->lanes, t->slices, e);
        if (rc == 0)
                rc = area_tensor(&b->dlogits, "dlogits", t->n, s, t->lanes, t->slices, e);
        if (rc == 0)
                rc = area_floats(&b->labels, "labels", (uint64_t)t->n, e);
        if (rc == 0)
                rc = area_floats(&b->weights, "weights", (uint64_t)t->classes, e);
        if (rc == 0)
                rc = area_floats(&b->results, "results", 2 * SLOTS, e);
        if (rc == 0)
                rc = area_floats(&b->vars, "vars", OP_VARS, e);
        if (rc)
                return rc;
        area_put(&b->logits, b->x, &garbage);
        area_put(&b->results, before, NULL);
        put_ints(&b->labels, b->label, (size_t)t->n);
        put_weights(t, b, &seed);
        put_ints(&b->vars, words, OP_VARS);
        area_watch(&b->logits);
        area_watch(&b->labels);
        area_watch(&b->weights);
        area_watch(&b->vars);
        return 0;
}

static int launch(const struct loss_trial *t, const struct bench *b, struct err *e)
{
        struct loss_call c = {.dev = t->dev,
                .variant = t->variant,
                .logits = b->logits.tensor,
                .labels = b->labels.tensor.at,
                .results = b->results.tensor.at,
                .vars = b->vars.tensor.at,
                .scale = t->weighted ? NAN : scale,
                .scale_from_vars = t->weighted,
                .accumulate = t->accumulate};
        if (t->training)
                c.dlogits = b->dlogits.tensor;
        if (t->weighted)
                c.weights = b->weights.tensor.at;
        int rc = loss_launch(&c, e);
        return rc ? rc : dev_finish(t->dev, e);
}

static int judge(const struct loss_trial *t, struct bench *b, struct trial_result *ret, struct err *e)
{
        const size_t count = (size_t)t->n * (size_t)t->classes;
        float results[2 * SLOTS];
        double want_loss, *want = malloc(2 * count * sizeof *want), *x = want + count;
        int want_correct;
        if (!want)
                return err_set(e, ERR_NO_MEMORY, "no memory for a trial");
        for (size_t i = 0; i < count; i++)
                x[i] = (double)b->x[i];
        ref_loss(t->n, t->classes, x, b->label, t->weighted ? b->weight : NULL, (double)scale, want,
                &want_loss, &want_correct);
        int rc = t->training ? area_take(&b->dlogits, b->dx, AREA_PADDING_ZERO, e) : 0;
        if (rc == 0)
                rc = area_take(&b->results, results, AREA_PADDING_FINITE, e);
        for (int i = 0; i < 2 * SLOTS && rc == 0; i++)
                if (i / 2 != SLOT && results[i] != before[i])
                        rc = err_set(e, ERR_DEVICE, "the loss wrote into slot %d instead of %d", i / 2, SLOT);
        if (rc == 0) {
                const float *start = before + 2 * SLOT;
                const double sums[2] = {want_loss + (t->accumulate ? (double)start[0] : 0),
                        want_correct + (t->accumulate ? (double)start[1] : 0)};
                results[2 * SLOT] += t->lie ? 1.0f : 0.0f;
                *ret = (struct trial_result){0};
                trial_judge(ret, "", "loss", &results[2 * SLOT], &sums[0], 1, 1);
                trial_judge(ret, "", "correct", &results[2 * SLOT + 1], &sums[1], 1, 1);
                if (t->training)
                        trial_judge(ret, "", "dlogits", b->dx, want, count, (double)scale);
        }
        free(want);
        return rc;
}

int loss_trial_run(const struct loss_trial *t, uint64_t seed, struct trial_result *ret, struct err *e)
{
        struct bench b = {0};
        struct area *areas[AREAS];
        list_areas(&b, areas);
        int rc = prepare(t, &b, seed, e);
        for (int i = 0; i < AREAS && rc == 0; i++)
                rc = area_upload(areas[i], t->dev, e);
        if (rc == 0)
                rc = launch(t, &b, e);
        for (int i = 0; i < AREAS && rc == 0; i++)
                rc = area_download(areas[i], e);
        if (rc == 0)
                rc = judge(t, &b, ret, e);
        for (int i = 0; i < AREAS; i++)
                area_finish(areas[i]);
        free(b.x);
        free(b.dx);
        free(b.label);
        free(b.weight);
        return rc ? err_wrap(e, "loss") : 0;
}
