/* Updates of long blocks against a host reference in double, with what lies around them watched. */
#include "check.h"
#include "opened.h"

#include "train/update.h"

#include <math.h>

enum { GUARD = 64, STEPS = 3, LONGEST = 3 * 4096 * 64 + 4096 + 32 };

struct fixture {
        struct dev *dev;
        float *params, *grads, *state;
        double *w, *s[OPTIMIZER_MAX_STATES];
};

static int set_up(void **state)
{
        struct fixture *f = calloc(1, sizeof *f);
        assert_non_null(f);
        f->dev = opened(NULL);
        f->params = malloc((LONGEST + 2 * GUARD) * sizeof *f->params);
        f->grads = malloc((LONGEST + 2 * GUARD) * sizeof *f->grads);
        f->state = malloc(LONGEST * OPTIMIZER_MAX_STATES * sizeof *f->state);
        f->w = malloc(LONGEST * sizeof *f->w);
        f->s[0] = malloc(LONGEST * sizeof *f->w);
        f->s[1] = malloc(LONGEST * sizeof *f->w);
        assert_true(f->params && f->grads && f->state && f->w && f->s[0] && f->s[1]);
        *state = f;
        return 0;
}

static int tear_down(void **state)
{
        struct fixture *f = *state;
        dev_close(f->dev);
        free(f->params);
        free(f->grads);
        free(f->state);
        free(f->w);
        free(f->s[0]);
        free(f->s[1]);
        free(f);
        return 0;
}

static float number(uint64_t *state)
{
        *state = *state * 6364136223846793005u + 1442695040888963407u;
        return (float)((double)(*state >> 40) / 8388608.0 - 1);
}

/* torch.optim's formulas, one parameter; t counts from 1. */
static void step_one(
        const struct optimizer_spec *o, double lr, int t, double g, double *w, double *s0, double *s1)
{
        double m = o->momentum, b1 = o->betas[0], b2 = o->betas[1];
        if (o->kind == OPTIMIZER_ADAMW)
                *w -= lr * o->weight_decay * *w;
        else
                g += o->weight_decay * *w;
        switch (o->kind) {
        case OPTIMIZER_SGD:
                *s0 = t == 1 ? g : m * *s0 + (1 - o->dampening) * g;
                *w -= lr * (m == 0 ? g : o->nesterov ? g + m * *s0 : *s0);
                return;
        case OPTIMIZER_ADAGRAD:
                *s0 += g * g;
                *w -= lr / (1 + (t - 1) * o->lr_decay) * g / (sqrt(*s0) + o->eps);
                return;
        case OPTIMIZER_ADAM:
        case OPTIMIZER_ADAMW:
        case OPTIMIZER_YOGI:
                *s0 = b1 * *s0 + (1 - b1) * g;
                if (o->kind == OPTIMIZER_YOGI)
                        *s1 += (1 - b2) * (g * g > *s1 ? 1 : g * g < *s1 ? -1 : 0) * g * g;
                else
                        *s1 = b2 * *s1 + (1 - b2) * g * g;
                *w -= lr / (1 - pow(b1, t)) * *s0 / (sqrt(*s1) / sqrt(1 - pow(b2, t)) + o->eps);
        }
}

static double clip_of(const struct optimizer_spec *o, const float *grads, int count)
{
        double sum = 0;
        if (o->gradient_clip == 0)
                return 1;
        for (int i = 0; i < count; i++)
                sum += (double)grads[i] * (double)grads[i];
        return fmin(1, o->gradient_clip / (sqrt(sum) + 1e-6));
}

static void one_step(const struct fixture *f, const struct optimizer_spec *o, const struct update_memory *m,
        struct update *u, int step)
{
        struct err e = {0};
        int count = (int)m->floats;
        int32_t vars[OP_VARS] = {0};
        uint64_t seed = (uint64_t)(count + step);
        double lr = 0.01 * (step + 1);
        for (int i = 0; i < count; i++)
                f->grads[i] = number(&seed) * (float)(1 + step % 2);
        CHECK_OK(buf_write(m->grads.buf, GUARD * sizeof(float), f->grads, (size_t)count * sizeof(float), &e),
                &e);
        update_vars(o, lr, step, vars);
        CHECK_OK(buf_write(m->vars.buf, 0, vars, sizeof vars, &e), &e);
        CHECK_OK(update_run(u, &e), &e);
        double clip = clip_of(o, f->grads, count);
        for (int i = 0; i < count; i++)
                step_one(o, lr, step + 1, clip * (double)f->grads[i], &f->w[i], &f->s[0][i], &f->s[1][i]);
}

static void check_block(const struct fixture *f, const struct optimizer_spec *o, int count, int lanes)
{
        struct err e = {0};
        const size_t whole = (size_t)(count + 2 * GUARD) * sizeof(float);
        struct update_memory m = {
                .params.offset = GUARD, .grads.offset = GUARD, .floats = (uint64_t)count, .lanes = lanes};
        struct update *u = NULL;
        struct update_needs needs;
        uint64_t seed = 5;
        CHECK_OK(buf_create(f->dev, whole, "w", &m.params.buf, &e), &e);
        CHECK_OK(buf_create(f->dev, whole, "dw", &m.grads.buf, &e), &e);
        CHECK_OK(buf_create(f->dev, OP_VARS * sizeof(int32_t), "vars", &m.vars.buf, &e), &e);
        for (int i = 0; i < count + 2 * GUARD; i++)
                f->params[i] = f->grads[i] = NAN;
        for (int i = 0; i < count; i++) {
                f->params[GUARD + i] = number(&seed);
                f->w[i] = (double)f->params[GUARD + i];
                f->s[0][i] = f->s[1][i] = o->initial_accumulator_value;
        }
        CHECK_OK(buf_write(m.params.buf, 0, f->params, whole, &e), &e);
        CHECK_OK(buf_write(m.grads.buf, 0, f->grads, whole, &e), &e);
        uint64_t before = dev_bytes(f->dev);
        CHECK_OK(update_create(f->dev, o, &m, &u, &e), &e);
        update_needs(o, m.floats, &needs);
        assert_int_equal(
                dev_bytes(f->dev) - before, (uint64_t)needs.num_states * buf_rounded(needs.state_bytes) +
                                                    (needs.clip_bytes ? buf_rounded(needs.clip_bytes) : 0));
        update_first_state(o, m.floats, f->state);
        CHECK_OK(update_write_state(u, f->state, &e), &e);
        for (int step = 0; step < STEPS; step++)
                one_step(f, o, &m, u, step);
        CHECK_OK(buf_read(m.params.buf, 0, f->params, whole, &e), &e);
        for (int i = 0; i < GUARD; i++)
                assert_true(isnan(f->params[i]) && isnan(f->params[GUARD + count + i]));
        CHECK_CLOSE(f->params + GUARD, f->w, count, 2e-6, 2e-6);
        CHECK_OK(update_read_state(u, f->state, &e), &e);
        for (int k = 0; k < needs.num_states; k++)
                CHECK_CLOSE(f->state + (size_t)k * (size_t)count, f->s[k], count, 1e-7, 1e-5);
        update_destroy(u);
        buf_destroy(m.params.buf);
        buf_destroy(m.grads.buf);
        buf_destroy(m.vars.buf);
}

static void agrees_with_reference(void **state)
{
        static const struct optimizer_spec cases[] = {
                {.kind = OPTIMIZER_SGD},
                {.kind = OPTIMIZER_SGD, .weight_decay = 0.1, .gradient_clip = 2},
                {.kind = OPTIMIZER_SGD, .momentum = 0.9, .dampening = 0.5, .gradient_clip = 1e6},
                {.kind = OPTIMIZER_SGD, .momentum = 0.9, .nesterov = true, .weight_decay = 0.1},
                {.kind = OPTIMIZER_ADAGRAD, .eps = 1e-10, .lr_decay = 0.2, .initial_accumulator_value = 0.3},
                {.kind = OPTIMIZER_ADAM,
                        .betas = {0.9, 0.99},
                        .eps = 1e-3,
                        .weight_decay = 0.1,
                        .gradient_clip = 3},
                {.kind = OPTIMIZER_ADAMW, .betas = {0.9, 0.99}, .eps = 1e-3, .weight_decay = 0.1},
                {.kind = OPTIMIZER_YOGI, .betas = {0.9, 0.7}, .eps = 1e-3},
        };
        static const int counts[] = {32, 4096, 4128, 3 * 4096 + 64, LONGEST};
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
                for (size_t k = 0; k < sizeof counts / sizeof counts[0]; k++)
                        for (int lanes = 16; lanes <= 32; lanes += 16)
                                if (counts[k] < LONGEST || cases[i].gradient_clip > 0)
                                        check_block(*state, &cases[i], counts[k], lanes);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(agrees_with_reference),
        };
        return cmocka_run_group_tests_name("update", tests, set_up, tear_down);
}
