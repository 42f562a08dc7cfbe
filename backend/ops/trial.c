#include "ops/trial.h"
#include "ops/area.h"

#include <stdlib.h>
#include <string.h>

/* The buffers of one run. An index into `areas` for each thing, -1 where the op has none. */
enum { MAX_AREAS = 2 * OP_MAX_INPUTS + 3 * OP_MAX_PARAMS + OP_MAX_SAVED + 4 };
struct bench {
        struct area areas[MAX_AREAS];
        int count;
        int x[OP_MAX_INPUTS], y, dy, dx[OP_MAX_INPUTS], params[OP_MAX_PARAMS], dparams[OP_MAX_PARAMS];
        int norm_params[OP_MAX_PARAMS];
        int saved[OP_MAX_SAVED], workspace, vars;
};

const int32_t trial_vars[OP_VARS] = {
        [OP_VAR_STEP] = 41, [OP_VAR_FIRST] = 3, [OP_VAR_SEED] = 0x12345678, [OP_VAR_SEED + 1] = 0x2468ace};

double trial_uniform(uint64_t *state)
{
        uint64_t z = *state += 0x9E3779B97F4A7C15u;
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
        z = (z ^ z >> 27) * 0x94D049BB133111EBu;
        return (double)((z ^ z >> 31) >> 11) * 0x1p-53;
}

static size_t count_x(const struct op *op, int i, int n)
{
        return (size_t)n * (size_t)shape_count(op->in[i]);
}

static size_t count_y(const struct op *op, int n)
{
        return (size_t)n * (size_t)shape_count(op->out);
}

static float *random_array(size_t count, double from, double to, uint64_t *state)
{
        float *v = malloc((count ? count : 1) * sizeof *v);
        for (size_t i = 0; v && i < count; i++)
                v[i] = (float)(from + (to - from) * trial_uniform(state));
        return v;
}

static float *random_param(const struct op_param *p, uint64_t *state)
{
        bool one = p->init == OP_INIT_ONE;
        float *v = random_array((size_t)op_param_count(p), one ? 0.5 : -1, one ? 1.5 : 1, state);
        if (v && p->counter)
                v[0] = 3;
        return v;
}

int trial_data_create(const struct op *op, int n, uint64_t seed, struct trial_data **ret, struct err *e)
{
        struct trial_data *d = calloc(1, sizeof *d);
        if (!d)
                return err_set(e, ERR_NO_MEMORY, "no memory for a trial");
        bool ok = (d->dy = random_array(count_y(op, n), -1, 1, &seed)) != NULL;
        ok = ok && (d->y = random_array(count_y(op, n), -1, 1, &seed)) != NULL;
        for (int i = 0; i < op->num_inputs; i++) {
                ok = ok && (d->x[i] = random_array(count_x(op, i, n), -1, 1, &seed)) != NULL;
                ok = ok && (d->dx[i] = random_array(count_x(op, i, n), -1, 1, &seed)) != NULL;
        }
        for (int i = 0; i < op->num_params; i++) {
                ok = ok && (d->params[i] = random_param(&op->params[i], &seed)) != NULL;
                ok = ok && (d->dparams[i] = random_array(
                                    (size_t)op_param_count(&op->params[i]), -1, 1, &seed)) != NULL;
        }
        if (!ok) {
                trial_data_destroy(d);
                return err_set(e, ERR_NO_MEMORY, "no memory for a trial");
        }
        *ret = d;
        return 0;
}

void trial_data_destroy(struct trial_data *d)
{
        if (!d)
                return;
        for (int i = 0; i < OP_MAX_INPUTS; i++) {
                free(d->x[i]);
                free(d->dx[i]);
        }
        for (int i = 0; i < OP_MAX_PARAMS; i++) {
                free(d->params[i]);
                free(d->dparams[i]);
        }
        free(d->y);
        free(d->dy);
        free(d);
}

static int add_tensor(
        const struct trial *t, struct bench *b, const char *name, struct shape s, int *ret, struct err *e)
{
        *ret = b->count++;
        return area_tensor(&b->areas[*ret], name, t->n, s, t->lanes, t->slices, e);
}

static int add_floats(struct bench *b, const char *name, uint64_t floats, int *ret, struct err *e)
{
        if (floats == 0)
                return 0;
        *ret = b->count++;
        return area_floats(&b->areas[*ret], name, floats, e);
}

static int lay_out(const struct trial *t, struct bench *b, struct err *e)
{
        static const char *const dx_names[] = {"dx[0]", "dx[1]"}, *const x_names[] = {"x[0]", "x[1]"};
        struct op_needs needs = {0};
        const struct op *op = t->op;
        int rc = 0;
        if (op->kind->needs)
                op->kind->needs(op, t->n, t->lanes, dev_info(t->dev), &needs);
        for (int i = 0; i < op->num_inputs && rc == 0; i++)
                rc = add_tensor(t, b, x_names[i], op->in[i], &b->x[i], e);
        if (rc == 0 && t->in_place)
                b->y = b->x[0];
        else if (rc == 0)
                rc = add_tensor(t, b, "y", op->out, &b->y, e);
        for (int i = 0; i < op->num_params && rc == 0; i++)
                rc = add_floats(
                        b, op->params[i].name, (uint64_t)op_param_count(&op->params[i]), &b->params[i], e);
        const struct op *norm = t->epilogue ? t->epilogue->norm : NULL;
        for (int i = 0; norm && i < norm->num_params && rc == 0; i++)
                rc = add_floats(b, norm->params[i].name, (uint64_t)op_param_count(&norm->params[i]),
                        &b->norm_params[i], e);
        for (int i = 0; i < needs.num_saved && t->training && rc == 0; i++)
                rc = add_floats(b, "saved", needs.saved[i], &b->saved[i], e);
        uint64_t workspace = needs.workspace_forward;
        if (t->backward && needs.workspace_backward > workspace)
                workspace = needs.workspace_backward;
        if (rc == 0)
                rc = add_floats(b, "workspace", workspace, &b->workspace, e);
        if (rc == 0)
                rc = add_floats(b, "vars", OP_VARS, &b->vars, e);
        if (!t->backward || rc)
                return rc;
        rc = add_tensor(t, b, "dy", op->out, &b->dy, e);
        for (int i = 0; i < op->num_inputs && rc == 0 && !t->no_dx; i++) {
                if (t->in_place && i == 0)
                        b->dx[0] = b->dy;
                else
                        rc = add_tensor(t, b, dx_names[i], op->in[i], &b->dx[i], e);
        }
        for (int i = 0; i < op->num_params && rc == 0 && !t->frozen; i++)
                if (op->params[i].trainable)
                        rc = add_floats(b, op->params[i].name, (uint64_t)op_param_count(&op->params[i]),
                                &b->dparams[i], e);
        return rc;
}

/* What the op reads goes in and is watched; what it must write stays NaN unless it accumulates. */
static void fill(const struct trial *t, struct bench *b, const struct trial_data *d)
{
        uint64_t garbage = 7;
        struct area *vars = &b->areas[b->vars];
        memcpy(vars->host + vars->tensor.at.offset, t->vars ? t->vars : trial_vars,
                OP_VARS * sizeof(int32_t));
        area_watch(vars);
        for (int i = 0; i < t->op->num_inputs; i++) {
                area_put(&b->areas[b->x[i]], d->x[i], &garbage);
                if (b->x[i] != b->y)
                        area_watch(&b->areas[b->x[i]]);
        }
        for (int i = 0; i < t->op->num_params; i++) {
                area_put(&b->areas[b->params[i]], d->params[i], NULL);
                if (t->op->params[i].trainable || !t->training)
                        area_watch(&b->areas[b->params[i]]);
                if (b->dparams[i] >= 0 && t->accumulate_dparams)
                        area_put(&b->areas[b->dparams[i]], d->dparams[i], NULL);
        }
        for (int i = 0; i < OP_MAX_PARAMS; i++)
                if (b->norm_params[i] >= 0) {
                        area_put(&b->areas[b->norm_params[i]], t->epilogue->params[i], NULL);
                        area_watch(&b->areas[b->norm_params[i]]);
                }
        if (!t->backward)
                return;
        area_put(&b->areas[b->dy], d->dy, NULL);
        if (!t->in_place)
                area_watch(&b->areas[b->dy]);
        for (int i = 0; i < t->op->num_inputs; i++)
                if (b->dx[i] >= 0 && b->dx[i] != b->dy && t->accumulate_dx)
                        area_put(&b->areas[b->dx[i]], d->dx[i], NULL);
}

static struct tensor tensor_of(const struct bench *b, int area)
{
        return area < 0 ? (struct tensor){0} : b->areas[area].tensor;
}

static struct view view_of(const struct bench *b, int area)
{
        return area < 0 ? (struct view){0} : b->areas[area].tensor.at;
}

static struct op_call call_of(const struct trial *t, const struct bench *b)
{
        struct op_call c = {.dev = t->dev,
                .variants = {t->variant, t->variant, t->variant},
                .precision = t->precision,
                .training = t->training,
                .accumulate_dparams = t->accumulate_dparams,
                .layer = t->layer};
        for (int i = 0; i < t->op->num_inputs; i++) {
                c.x[i] = tensor_of(b, b->x[i]);
                c.dx[i] = tensor_of(b, b->dx[i]);
                c.accumulate_dx[i] = t->accumulate_dx;
        }
        c.y = tensor_of(b, b->y);
        c.dy = tensor_of(b, b->dy);
        for (int i = 0; i < t->op->num_params; i++) {
                c.params[i] = view_of(b, b->params[i]);
                c.dparams[i] = view_of(b, b->dparams[i]);
        }
        for (int i = 0; i < OP_MAX_PARAMS; i++)
                c.epilogue.norm_params[i] = view_of(b, b->norm_params[i]);
        if (t->epilogue) {
                c.epilogue.norm = t->epilogue->norm;
                c.epilogue.activation = t->epilogue->activation ? t->epilogue->activation->kind->activation
                                                                : OP_NO_ACTIVATION;
        }
        for (int i = 0; i < OP_MAX_SAVED; i++)
                c.saved[i] = view_of(b, b->saved[i]);
        c.workspace = view_of(b, b->workspace);
        c.vars = view_of(b, b->vars);
        return c;
}

static int launch_all(const struct trial *t, const struct op_call *c, struct err *e)
{
        struct launch_list *list = NULL;
        int rc = launch_list_create(&list, e);
        if (rc)
                return rc;
        launch_record(t->dev, list);
        rc = t->op->kind->forward(t->op, c, e);
        if (rc == 0 && t->backward)
                rc = t->op->kind->backward(t->op, c, e);
        launch_record_end(t->dev);
        if (rc == 0)
                rc = t->last_first ? launch_list_run_backwards(t->dev, list, e)
                                   : launch_list_run(t->dev, list, e);
        if (rc == 0)
                rc = dev_finish(t->dev, e);
        launch_list_destroy(list);
        return rc;
}

static int collect(const struct trial *t, const struct bench *b, struct trial_data *d, struct err *e)
{
        const bool zeros = t->op->kind->mixes_samples && t->training;
        int rc = area_take(&b->areas[b->y], d->y, zeros ? AREA_PADDING_ZERO : AREA_PADDING_FINITE, e);
        for (int i = 0; i < t->op->num_params && rc == 0; i++) {
                rc = area_take(&b->areas[b->params[i]], d->params[i], AREA_PADDING_FINITE, e);
                if (rc == 0 && b->dparams[i] >= 0)
                        rc = area_take(&b->areas[b->dparams[i]], d->dparams[i], AREA_PADDING_FINITE, e);
        }
        for (int i = 0; i < t->op->num_inputs && rc == 0; i++)
                if (b->dx[i] >= 0)
                        rc = area_take(&b->areas[b->dx[i]], d->dx[i], AREA_PADDING_ZERO, e);
        return rc;
}

int trial_run(const struct trial *t, struct trial_data *data, struct err *e)
{
        struct bench *b = calloc(1, sizeof *b);
        int rc = 0;
        if (!b)
                return err_set(e, ERR_NO_MEMORY, "no memory for a trial");
        b->y = b->dy = b->workspace = b->vars = -1;
        for (int i = 0; i < OP_MAX_PARAMS; i++)
                b->params[i] = b->dparams[i] = b->norm_params[i] = -1;
        for (int i = 0; i < OP_MAX_INPUTS; i++)
                b->x[i] = b->dx[i] = -1;
        for (int i = 0; i < OP_MAX_SAVED; i++)
                b->saved[i] = -1;
        rc = lay_out(t, b, e);
        if (rc == 0)
                fill(t, b, data);
        for (int i = 0; i < b->count && rc == 0; i++)
                rc = area_upload(&b->areas[i], t->dev, e);
        if (rc == 0) {
                struct op_call c = call_of(t, b);
                rc = launch_all(t, &c, e);
        }
        for (int i = 0; i < b->count && rc == 0; i++)
                rc = area_download(&b->areas[i], e);
        if (rc == 0)
                rc = collect(t, b, data, e);
        for (int i = 0; i < b->count; i++)
                area_finish(&b->areas[i]);
        free(b);
        return rc ? err_wrap(e, "%s", t->op->kind->type) : 0;
}
