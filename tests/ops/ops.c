#include "ops.h"
#include "ops/kinds.h"
#include "ref/ref.h"

#include <math.h>
#include <time.h>

enum { SKIPPED = 77 };

static int open_device(struct dev **ret, struct err *e)
{
        const struct dev_options options = {.cache_dir = getenv("CNND_TEST_CACHE")};
        const char *spec = getenv("CNND_DEVICE");
        if (spec)
                return dev_open(spec, &options, ret, e);
        int rc = dev_open("type:cpu", &options, ret, e);
        return rc == ERR_NOT_FOUND ? dev_open("all", &options, ret, e) : rc;
}

static int end_of_test(void **state)
{
        struct ops_fixture *f = *state;
        struct err e = {0};
        CHECK_OK(prog_save(f->dev, &e), &e);
        assert_int_equal(dev_bytes(f->dev), 0);
        return 0;
}

int ops_run(const struct CMUnitTest *tests, size_t count)
{
        struct ops_fixture f = {.seed = (uint64_t)time(NULL)};
        struct err e = {0};
        const char *seed = getenv("CNND_TEST_SEED"), *require = getenv("CNND_REQUIRE_DEVICE");
        int failed = 0;
        if (seed)
                f.seed = strtoull(seed, NULL, 0);
        if (open_device(&f.dev, &e) != 0) {
                bool needed = require && strcmp(require, "1") == 0;
                fprintf(stderr, "%s: %s\n", needed ? "failed" : "skipped", e.message);
                return needed ? 1 : SKIPPED;
        }
        printf("# device %s %s, CNND_TEST_SEED=%llu\n", dev_info(f.dev)->id, dev_info(f.dev)->name,
                (unsigned long long)f.seed);
        for (size_t i = 0; i < count; i++) {
                struct CMUnitTest test[1] = {tests[i]};
                test[0].initial_state = &f;
                test[0].teardown_func = end_of_test;
                failed += _cmocka_run_group_tests(tests[i].name, test, 1, NULL, NULL);
        }
        dev_close(f.dev);
        return failed != 0;
}

struct op *ops_layer(const struct op_kind *kind, const void *args, struct shape in)
{
        struct op *op = NULL;
        struct err e = {0};
        struct shape all[OP_MAX_INPUTS];
        for (int i = 0; i < OP_MAX_INPUTS; i++)
                all[i] = in;
        CHECK_OK(op_create(kind, args, all, kind->num_inputs, &op, &e), &e);
        return op;
}

static const char *describe(const struct trial *t)
{
        static char text[256];
        const struct shape s = t->op->in[0];
        snprintf(text, sizeof text, "%s n=%d %dx%dx%d lanes=%d variant=%d%s%s%s%s%s%s%s%s%s %s",
                t->op->kind->type, t->n, s.c, s.h, s.w, t->lanes, (int)t->variant,
                t->training ? " training" : "", t->backward ? " backward" : "", t->slices ? " slices" : "",
                t->in_place ? " in-place" : "", t->accumulate_dx ? " accumulate-dx" : "",
                t->accumulate_dparams ? " accumulate-dparams" : "", t->no_dx ? " no-dx" : "",
                t->frozen ? " frozen" : "", t->epilogue && t->epilogue->norm ? " norm" : "",
                t->epilogue && t->epilogue->activation ? t->epilogue->activation->kind->type : "");
        return text;
}

void ops_check(const struct trial *t, uint64_t seed, double tolerance)
{
        struct trial_result r;
        struct err e = {0};
        if (trial_seeded(t, seed, &r, &e) != 0)
                fail_msg("%s seed=%llu: %s %s", describe(t), (unsigned long long)seed, e.message, e.log);
        if (!(r.error <= tolerance))
                fail_msg("%s seed=%llu: %s[%lld] is %.9g, wanted %.9g (error %.3g, allowed %.3g)",
                        describe(t), (unsigned long long)seed, r.what, (long long)r.index, r.got, r.want,
                        r.error, tolerance);
}

/* What the op's forward does for layers behind it, which are allowed what they are by themselves. */
static void check_epilogues(struct ops_fixture *f, const struct trial *base, double own_tolerance)
{
        const double tolerance = own_tolerance > 1e-6 ? own_tolerance : 1e-6;
        static const struct op_kind *const activations[] = {NULL, &op_relu, &op_sigmoid, &op_tanh};
        const unsigned takes = base->op->kind->epilogues;
        for (int norm = 0; norm <= (takes & OP_TAKES_NORM ? 1 : 0); norm++)
                for (int i = norm ? 0 : 1; takes & OP_TAKES_ACTIVATION && i < 4; i++) {
                        struct err e = {0};
                        struct trial t = *base;
                        struct trial_epilogue *x;
                        CHECK_OK(trial_epilogue_create(t.op, norm, activations[i], f->seed, &x, &e), &e);
                        t.epilogue = x;
                        t.slices = i % 2;
                        ops_check(&t, f->seed + 20, tolerance);
                        t.training = true;
                        ops_check(&t, f->seed + 21, tolerance);
                        trial_epilogue_destroy(x);
                }
}

static void check_ways(struct ops_fixture *f, const struct trial *base, double tolerance)
{
        struct trial t = *base;
        check_epilogues(f, base, tolerance);
        ops_check(&t, f->seed, tolerance);
        t.slices = true;
        ops_check(&t, f->seed + 1, tolerance);
        t.training = true;
        ops_check(&t, f->seed + 2, tolerance);
        t.backward = true;
        ops_check(&t, f->seed + 3, tolerance);
        t.accumulate_dx = t.accumulate_dparams = true;
        ops_check(&t, f->seed + 4, tolerance);
        t.slices = false;
        ops_check(&t, f->seed + 5, tolerance);
        t.accumulate_dx = t.accumulate_dparams = false;
        ops_check(&t, f->seed + 6, tolerance);
        t.no_dx = true;
        ops_check(&t, f->seed + 7, tolerance);
        t.no_dx = false;
        t.frozen = true;
        ops_check(&t, f->seed + 8, tolerance);
        t.frozen = false;
        if (!t.op->kind->in_place)
                return;
        t.in_place = true;
        ops_check(&t, f->seed + 9, tolerance);
        t.slices = true;
        ops_check(&t, f->seed + 10, tolerance);
}

/* Beyond naive and tiled, which every op takes. */
static bool has_variant(const struct ops_fixture *f, const struct op *op, enum op_variant v, int lanes)
{
        return v <= OP_TILED ||
               (op->kind->variants && op->kind->variants(op, OP_FORWARD, lanes, dev_info(f->dev)) & 1u << v);
}

void ops_check_all(struct ops_fixture *f, const struct op *op, int n, double tolerance)
{
        static const int lanes[] = {1, 16, 32};
        struct trial t = {.dev = f->dev, .op = op, .n = n};
        for (int variant = 0; variant < OP_VARIANTS; variant++)
                for (size_t i = 0; i < sizeof lanes / sizeof lanes[0]; i++) {
                        t.variant = (enum op_variant)variant;
                        t.lanes = lanes[i];
                        if (!has_variant(f, op, t.variant, t.lanes))
                                continue;
                        check_ways(f, &t, tolerance);
                }
}

/* A scalar of the outputs whose gradient by y is dy, so that backward must give its gradient by everything
 * else. */
static double objective(const struct op *op, struct ref_call *r, const double *dy, const double *buffers[])
{
        double sum = 0;
        for (int i = 0; i < op->num_params;
                i++) /* a training forward moves running statistics: put them back */
                if (!op->params[i].trainable)
                        memcpy(r->params[i], buffers[i],
                                (size_t)op_param_count(&op->params[i]) * sizeof(double));
        op->kind->ref->forward(op, r);
        for (int64_t i = 0; i < r->n * shape_count(op->out); i++)
                sum += r->y[i] * dy[i];
        return sum;
}

static double *random_doubles(size_t count, double from, double to, uint64_t *state)
{
        double *v = malloc((count + 1) * sizeof *v);
        for (size_t i = 0; i < count; i++)
                v[i] = from + (to - from) * trial_uniform(state);
        return v;
}

/* What differences are taken over. */
#define STEP 1e-5

struct difference {
        const struct op *op;
        struct ref_call *r;
        const double **buffers;
        uint64_t seed;
};

static void check_gradient(
        const struct difference *d, const char *what, double *at, const double *gradient, size_t count)
{
        for (size_t i = 0; i < count; i++) {
                const double middle = at[i];
                at[i] = middle + STEP;
                const double above = objective(d->op, d->r, d->r->dy, d->buffers);
                at[i] = middle - STEP;
                const double below = objective(d->op, d->r, d->r->dy, d->buffers);
                at[i] = middle;
                const double want = (above - below) / (2 * STEP);
                if (!(fabs(gradient[i] - want) <= 1e-6 + 1e-6 * fabs(want)))
                        fail_msg("reference of %s seed=%llu: gradient of %s[%zu] is %.12g, differences say "
                                 "%.12g",
                                d->op->kind->type, (unsigned long long)d->seed, what, i, gradient[i], want);
        }
}

void ops_check_reference(struct ops_fixture *f, const struct op *op, int n)
{
        uint64_t state = f->seed;
        const double *buffers[OP_MAX_PARAMS] = {0};
        const size_t out = (size_t)n * (size_t)shape_count(op->out);
        struct ref_call r = {.n = n, .training = true, .vars = trial_vars};
        double *x[OP_MAX_INPUTS] = {0}, *dy = random_doubles(out, -1, 1, &state);
        r.y = random_doubles(out, 0, 0, &state);
        r.dy = dy;
        for (int i = 0; i < op->num_inputs; i++) {
                size_t count = (size_t)n * (size_t)shape_count(op->in[i]);
                r.x[i] = x[i] = random_doubles(count, -1, 1, &state);
                for (size_t k = 0; k < count; k++)
                        if (fabs(x[i][k]) < 2 * STEP) /* relu has a kink at 0 */
                                x[i][k] = 2 * STEP;
                r.dx[i] = random_doubles(count, 0, 0, &state);
        }
        for (int i = 0; i < op->num_params; i++) {
                size_t count = (size_t)op_param_count(&op->params[i]);
                r.params[i] = random_doubles(count, 0.5, 1.5, &state);
                buffers[i] = memcpy(malloc(count * sizeof(double)), r.params[i], count * sizeof(double));
                if (op->params[i].trainable)
                        r.dparams[i] = random_doubles(count, 0, 0, &state);
        }
        op->kind->ref->backward(op, &r);
        const struct difference d = {op, &r, buffers, f->seed};
        for (int i = 0; i < op->num_inputs; i++)
                check_gradient(&d, "x", x[i], r.dx[i], (size_t)n * (size_t)shape_count(op->in[i]));
        for (int i = 0; i < op->num_params; i++)
                if (r.dparams[i])
                        check_gradient(&d, op->params[i].name, r.params[i], r.dparams[i],
                                (size_t)op_param_count(&op->params[i]));
        for (int i = 0; i < op->num_inputs; i++) {
                free(x[i]);
                free(r.dx[i]);
        }
        for (int i = 0; i < op->num_params; i++) {
                free(r.params[i]);
                free((void *)(uintptr_t)buffers[i]);
                free(r.dparams[i]);
        }
        free(r.y);
        free(dy);
}

void ops_check_far(struct ops_fixture *f, const struct op *op)
{
        for (int i = 0; i < 6; i++) {
                struct trial t = {.dev = f->dev,
                        .op = op,
                        .n = 33,
                        .variant = (enum op_variant)(i % 2),
                        .lanes = (int[]){1, 16, 32}[i / 2],
                        .training = true,
                        .backward = true};
                struct trial_data *data;
                struct trial_result r;
                struct err e = {0};
                CHECK_OK(trial_data_create(op, t.n, f->seed, &data, &e), &e);
                for (int k = 0; k < t.n * op->in[0].c * op->in[0].h * op->in[0].w; k++)
                        data->x[0][k] = 1000 + data->x[0][k];
                CHECK_OK(trial_compare(&t, data, &r, &e), &e);
                if (r.error > 2e-3) /* half an ulp of the mean alone gives 3e-4 */
                        fail_msg("lanes %d variant %d: %s[%lld] is %.9g, wanted %.9g", t.lanes,
                                (int)t.variant, r.what, (long long)r.index, r.got, r.want);
                trial_data_destroy(data);
        }
}
