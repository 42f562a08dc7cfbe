#include "train/update.h"
#include "device/launch.h"
#include "ops/elementwise.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* As in kernels/optimizer.cl: floats a partial sum takes. */
enum { SQUARES = 4096 };

struct update {
        struct dev *dev; /* borrowed */
        struct optimizer_spec spec;
        struct update_memory memory;
        struct update_needs needs;
        struct buf *states[OPTIMIZER_MAX_STATES], *clip; /* owned */
        struct launch_list *launches;                    /* owned */
};

static uint64_t count_partials(uint64_t floats)
{
        return (floats + SQUARES - 1) / SQUARES;
}

void update_needs(const struct optimizer_spec *o, uint64_t floats, struct update_needs *ret)
{
        const char *names[OPTIMIZER_MAX_STATES];
        uint64_t groups = (count_partials(floats) + LAUNCH_GROUP - 1) / LAUNCH_GROUP;
        *ret = (struct update_needs){.num_states = optimizer_states(o, names)};
        ret->state_bytes = ret->num_states ? floats * sizeof(float) : 0;
        ret->clip_bytes = o->gradient_clip > 0 ? (groups + 1) * LAUNCH_GROUP * sizeof(float) : 0;
}

static struct launch begin(struct update *u, const char *kernel)
{
        char options[OP_OPTIONS];
        op_options(options, u->memory.lanes, NULL);
        return launch_begin(u->dev, "optimizer", options, kernel);
}

static int record_clip(struct update *u, struct err *e)
{
        const struct view clip = {u->clip, 0};
        const uint64_t partials = count_partials(u->memory.floats);
        const bool vectors = u->memory.lanes == 16;
        struct launch l = begin(u, "clip_squares");
        launch_view(&l, &u->memory.grads);
        launch_ulong(&l, u->memory.floats);
        launch_view(&l, &clip);
        int rc = vectors ? launch_grid(&l, 1, (size_t[]){partials}, (size_t[]){1}, e)
                         : launch_over(&l, 1, (size_t[]){partials * LAUNCH_GROUP}, e);
        if (rc)
                return rc;
        l = begin(u, "clip_scale");
        launch_view(&l, &clip);
        launch_int(&l, (int)partials);
        launch_float(&l, (float)u->spec.gradient_clip);
        return vectors ? launch_grid(&l, 1, (size_t[]){1}, (size_t[]){1}, e)
                       : launch_over(&l, 1, (size_t[]){1}, e);
}

static void add_own(struct launch *l, struct update *u)
{
        const struct optimizer_spec *o = &u->spec;
        for (int i = 0; i < u->needs.num_states; i++)
                launch_view(l, &(struct view){u->states[i], 0});
        switch (o->kind) {
        case OPTIMIZER_SGD:
                if (u->needs.num_states == 0)
                        return;
                launch_float(l, (float)o->momentum);
                launch_int(l, o->nesterov);
                return;
        case OPTIMIZER_ADAGRAD:
                launch_float(l, (float)o->eps);
                return;
        case OPTIMIZER_ADAM:
        case OPTIMIZER_ADAMW:
        case OPTIMIZER_YOGI:
                for (int i = 0; i < 2; i++) {
                        launch_float(l, (float)o->betas[i]);
                        launch_float(l, (float)(1 - o->betas[i]));
                }
                launch_float(l, (float)o->eps);
                launch_int(l, o->kind == OPTIMIZER_YOGI);
        }
}

static int record_step(struct update *u, struct err *e)
{
        static const char *const kernels[] = {
                "sgd_step", "adagrad_step", "adam_step", "adam_step", "adam_step"};
        const struct optimizer_spec *o = &u->spec;
        const struct view clip = {u->clip, 0};
        bool momentum = o->kind == OPTIMIZER_SGD && u->needs.num_states > 0;
        struct launch l = begin(u, momentum ? "sgd_momentum_step" : kernels[o->kind]);
        launch_view(&l, &u->memory.params);
        launch_view(&l, &u->memory.grads);
        launch_ulong(&l, u->memory.floats);
        launch_view(&l, &u->memory.vars);
        launch_int(&l, OP_VAR_UPDATE);
        launch_view(&l, u->clip ? &clip : &u->memory.grads); /* a kernel's argument must be some buffer */
        launch_int(&l, u->clip != NULL);
        launch_float(&l, o->kind == OPTIMIZER_ADAMW ? 0.0f : (float)o->weight_decay);
        add_own(&l, u);
        return elementwise_run_vectors(&l, u->memory.lanes, u->memory.floats, 1, e);
}

static int record(struct update *u, struct err *e)
{
        int rc = launch_list_create(&u->launches, e);
        if (rc)
                return rc;
        launch_record(u->dev, u->launches);
        if (u->clip)
                rc = record_clip(u, e);
        if (rc == 0)
                rc = record_step(u, e);
        launch_record_end(u->dev);
        return rc;
}

int update_create(struct dev *d, const struct optimizer_spec *o, const struct update_memory *m,
        struct update **ret, struct err *e)
{
        struct update *u = calloc(1, sizeof *u);
        int rc = 0;
        if (!u)
                return err_set(e, ERR_NO_MEMORY, "no memory for an optimizer");
        u->dev = d;
        u->spec = *o;
        u->memory = *m;
        if (!m->lanes)
                u->memory.lanes = dev_info(d)->lanes;
        update_needs(o, m->floats, &u->needs);
        for (int i = 0; i < u->needs.num_states && rc == 0; i++)
                rc = buf_create(d, u->needs.state_bytes, "the optimizer's state", &u->states[i], e);
        if (rc == 0 && u->needs.clip_bytes)
                rc = buf_create(d, u->needs.clip_bytes, "the gradient's norm", &u->clip, e);
        if (rc == 0 && u->clip)
                rc = buf_zero(u->clip, 0, u->needs.clip_bytes, e);
        if (rc == 0)
                rc = buf_zero(m->grads.buf, m->grads.offset * sizeof(float), m->floats * sizeof(float), e);
        if (rc == 0)
                rc = record(u, e);
        if (rc) {
                update_destroy(u);
                return rc;
        }
        *ret = u;
        return 0;
}

void update_destroy(struct update *u)
{
        if (!u)
                return;
        launch_list_destroy(u->launches);
        for (int i = 0; i < OPTIMIZER_MAX_STATES; i++)
                buf_destroy(u->states[i]);
        buf_destroy(u->clip);
        free(u);
}

void update_vars(const struct optimizer_spec *o, double lr, int64_t step, int32_t *vars)
{
        double rate = lr, gain = 1, keep = 1, spread = 1, t = (double)step + 1;
        if (o->kind == OPTIMIZER_SGD && step > 0)
                gain = 1 - o->dampening;
        if (o->kind == OPTIMIZER_ADAGRAD)
                rate = lr / (1 + (t - 1) * o->lr_decay);
        if (o->kind >= OPTIMIZER_ADAM) {
                rate = lr / (1 - pow(o->betas[0], t));
                spread = sqrt(1 - pow(o->betas[1], t));
        }
        if (o->kind == OPTIMIZER_ADAMW)
                keep = 1 - lr * o->weight_decay;
        const float words[] = {[UPDATE_RATE] = (float)rate,
                [UPDATE_GAIN] = (float)gain,
                [UPDATE_KEEP] = (float)keep,
                [UPDATE_SPREAD] = (float)spread};
        memcpy(vars + OP_VAR_UPDATE, words, sizeof words);
}

int update_run(struct update *u, struct err *e)
{
        return launch_list_run(u->dev, u->launches, e);
}

void update_first_state(const struct optimizer_spec *o, uint64_t floats, float *state)
{
        struct update_needs needs;
        float first = o->kind == OPTIMIZER_ADAGRAD ? (float)o->initial_accumulator_value : 0.0f;
        update_needs(o, floats, &needs);
        for (uint64_t i = 0; i < floats * (uint64_t)needs.num_states; i++)
                state[i] = first;
}

int update_write_state(struct update *u, const float *state, struct err *e)
{
        int rc = 0;
        for (int i = 0; i < u->needs.num_states && rc == 0; i++)
                rc = buf_write(
                        u->states[i], 0, state + (uint64_t)i * u->memory.floats, u->needs.state_bytes, e);
        return rc;
}

int update_read_state(struct update *u, float *state, struct err *e)
{
        int rc = 0;
        for (int i = 0; i < u->needs.num_states && rc == 0; i++)
                rc = buf_read(
                        u->states[i], 0, state + (uint64_t)i * u->memory.floats, u->needs.state_bytes, e);
        return rc;
}
