#include "ops/trial.h"
#include "ref/ref.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* Doubles for the reference, one allocation, cut into arrays. */
struct doubles {
        double *all, *next; /* owned; where the next array starts */
};

static double *cut(struct doubles *m, const float *from, size_t count)
{
        double *array = m->next;
        for (size_t i = 0; i < count; i++)
                array[i] = from ? (double)from[i] : 0;
        m->next += count;
        return array;
}

static size_t count_all(const struct trial *t)
{
        const struct op *op = t->op;
        size_t count = 2 * (size_t)t->n * (size_t)shape_count(op->out) + 1;
        for (int i = 0; i < op->num_inputs; i++)
                count += 2 * (size_t)t->n * (size_t)shape_count(op->in[i]);
        for (int i = 0; i < op->num_params; i++)
                count += 2 * (size_t)op_param_count(&op->params[i]);
        return count;
}

static struct ref_call ref_of(const struct trial *t, const struct trial_data *d, struct doubles *m)
{
        const struct op *op = t->op;
        const size_t out = (size_t)t->n * (size_t)shape_count(op->out);
        struct ref_call r = {.n = t->n,
                .training = t->training,
                .vars = t->vars ? t->vars : trial_vars,
                .layer = t->layer};
        r.y = cut(m, NULL, out);
        r.dy = cut(m, d->dy, out);
        for (int i = 0; i < op->num_inputs; i++) {
                r.x[i] = cut(m, d->x[i], (size_t)t->n * (size_t)shape_count(op->in[i]));
                r.dx[i] = cut(m, NULL, (size_t)t->n * (size_t)shape_count(op->in[i]));
        }
        for (int i = 0; i < op->num_params; i++) {
                r.params[i] = cut(m, d->params[i], (size_t)op_param_count(&op->params[i]));
                if (op->params[i].trainable)
                        r.dparams[i] = cut(m, NULL, (size_t)op_param_count(&op->params[i]));
        }
        return r;
}

/* Gradients that the device shall add to what is there: the reference overwrites, so it is added here. */
static void add_to(double *v, const float *start, size_t count)
{
        for (size_t i = 0; i < count; i++)
                v[i] += (double)start[i];
}

static void add_starts(const struct trial *t, const struct trial_data *d, struct ref_call *r)
{
        for (int i = 0; i < t->op->num_inputs && t->accumulate_dx; i++)
                add_to(r->dx[i], d->dx[i], (size_t)t->n * (size_t)shape_count(t->op->in[i]));
        for (int i = 0; i < t->op->num_params && t->accumulate_dparams; i++)
                if (r->dparams[i])
                        add_to(r->dparams[i], d->dparams[i], (size_t)op_param_count(&t->op->params[i]));
}

static double error_of(double got, double want, double scale)
{
        if (isnan(got) && isnan(want))
                return 0;
        if (got == want) /* infinities too */
                return 0;
        double diff = fabs(got - want) / scale;
        return isnan(diff) ? INFINITY : diff;
}

void trial_judge(struct trial_result *worst, const char *prefix, const char *name, const float *got,
        const double *want, size_t count, double floor)
{
        double scale = floor;
        for (size_t i = 0; i < count; i++)
                if (isfinite(want[i]) && fabs(want[i]) > scale)
                        scale = fabs(want[i]);
        for (size_t i = 0; i < count; i++) {
                double error = error_of((double)got[i], want[i], scale);
                if (error <= worst->error)
                        continue;
                worst->error = error;
                worst->index = (int64_t)i;
                worst->got = (double)got[i];
                worst->want = want[i];
                snprintf(worst->what, sizeof worst->what, "%s%s", prefix, name);
        }
}

static void judge_all(const struct trial *t, const struct trial_data *d, const struct ref_call *r,
        struct trial_result *worst)
{
        const struct op *op = t->op;
        const double floor = 1e-3; /* where it is added to numbers up to 1, their rounding counts: */
        const double dx_floor = t->accumulate_dx ? 1 : floor,
                     dparams_floor = t->accumulate_dparams ? 1 : floor;
        trial_judge(worst, "y", "", d->y, r->y, (size_t)t->n * (size_t)shape_count(op->out), floor);
        for (int i = 0; i < op->num_params; i++)
                if (!op->params[i].trainable)
                        trial_judge(worst, "", op->params[i].name, d->params[i], r->params[i],
                                (size_t)op_param_count(&op->params[i]), floor);
        if (!t->backward)
                return;
        for (int i = 0; i < op->num_inputs && !t->no_dx; i++)
                trial_judge(worst, i ? "dx[1]" : "dx[0]", "", d->dx[i], r->dx[i],
                        (size_t)t->n * (size_t)shape_count(op->in[i]), dx_floor);
        for (int i = 0; i < op->num_params && !t->frozen; i++)
                if (r->dparams[i])
                        trial_judge(worst, "d ", op->params[i].name, d->dparams[i], r->dparams[i],
                                (size_t)op_param_count(&op->params[i]), dparams_floor);
}

int trial_compare(const struct trial *t, struct trial_data *data, struct trial_result *ret, struct err *e)
{
        struct doubles m = {0};
        m.all = m.next = malloc(count_all(t) * sizeof *m.all);
        if (!m.all)
                return err_set(e, ERR_NO_MEMORY, "no memory for a trial");
        struct ref_call r = ref_of(t, data, &m);
        t->op->kind->ref->forward(t->op, &r);
        if (t->backward) {
                t->op->kind->ref->backward(t->op, &r);
                add_starts(t, data, &r);
        }
        int rc = t->epilogue ? trial_epilogue_reference(t->epilogue, t->n, r.y, e) : 0;
        if (rc == 0)
                rc = trial_run(t, data, e);
        if (rc == 0) {
                *ret = (struct trial_result){0};
                data->y[0] += t->lie ? 1.0f : 0.0f;
                judge_all(t, data, &r, ret);
        }
        free(m.all);
        return rc;
}

int trial_seeded(const struct trial *t, uint64_t seed, struct trial_result *ret, struct err *e)
{
        struct trial_data *data;
        int rc = trial_data_create(t->op, t->n, seed, &data, e);
        if (rc)
                return rc;
        rc = trial_compare(t, data, ret, e);
        trial_data_destroy(data);
        return rc;
}
