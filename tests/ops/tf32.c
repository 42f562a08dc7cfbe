/* conv2d and linear in tf32, on devices without its units by the same fragments through local memory. */
#include "ops.h"
#include "ops/conv.h"
#include "ops/kinds.h"
#include "ops/linear.h"

#include <math.h>

/* One for each tile of work-groups in some direction; strides, padding, dilation, groups; weights that can be
   read in float4, and others. */
static const struct {
        struct shape in;
        struct conv_args args;
        int n;
} convs[] = {
        {{127, 2, 2}, {125, {1, 1}, {1, 1}, {0, 0}, {1, 1}, 1, true}, 33},
        {{60, 3, 3}, {62, {3, 2}, {2, 1}, {1, 1}, {1, 1}, 1, false}, 35},
        {{20, 5, 4}, {30, {3, 3}, {1, 1}, {1, 1}, {1, 1}, 1, true}, 33},
        {{6, 7, 5}, {10, {3, 3}, {2, 2}, {1, 1}, {1, 1}, 2, true}, 19},
        {{128, 2, 2}, {120, {1, 1}, {1, 1}, {0, 0}, {1, 1}, 1, true}, 33},
        {{8, 5, 5}, {12, {3, 3}, {1, 1}, {1, 1}, {1, 1}, 1, true}, 33},
        {{20, 6, 7}, {30, {3, 3}, {1, 1}, {2, 3}, {2, 3}, 1, true}, 33},
};

/* To numbers that tf32 holds, which no way of rounding to it changes. */
static void round_all(float *v, int64_t count)
{
        for (int64_t i = 0; i < count; i++) {
                uint32_t bits;
                memcpy(&bits, &v[i], sizeof bits);
                bits = (bits + 0x1000u) & 0xFFFFE000u;
                memcpy(&v[i], &bits, sizeof bits);
        }
}

static struct trial trial_of(const struct ops_fixture *f, const struct op *op, int n)
{
        return (struct trial){.dev = f->dev,
                .op = op,
                .n = n,
                .lanes = 32,
                .variant = OP_TILED,
                .precision = OP_TF32,
                .training = true,
                .backward = true,
                .slices = true};
}

/* Of rounded numbers the products are exact, so that nothing but the order of sums may differ. */
static double error_of_rounded(const struct trial *t, uint64_t seed)
{
        struct trial_data *data = NULL;
        struct trial_result r;
        struct err e = {0};
        CHECK_OK(trial_data_create(t->op, t->n, seed, &data, &e), &e);
        round_all(data->x[0], t->n * shape_count(t->op->in[0]));
        round_all(data->dy, t->n * shape_count(t->op->out));
        round_all(data->params[0], op_param_count(&t->op->params[0]));
        CHECK_OK(trial_compare(t, data, &r, &e), &e);
        trial_data_destroy(data);
        return r.error;
}

static void check(struct ops_fixture *f, const struct op *op, int n)
{
        struct trial t = trial_of(f, op, n);
        struct trial_result r;
        struct err e = {0};
        const double exact = error_of_rounded(&t, f->seed);
        t.slices = false;
        t.accumulate_dx = t.accumulate_dparams = true;
        CHECK_OK(trial_seeded(&t, f->seed, &r, &e), &e);
        print_message("%s %d to %d: %.2g of rounded numbers, %.2g of others\n", op->kind->type, op->in[0].c,
                op->out.c, exact, r.error);
        assert_true(exact < 5e-6);
        assert_true(r.error > 1e-5 && r.error < 2e-3); /* without rounding it would be 1e-6 */
}

static void conv_agrees(void **state)
{
        for (size_t i = 0; i < sizeof convs / sizeof convs[0]; i++) {
                struct op *op = ops_layer(&op_conv2d, &convs[i].args, convs[i].in);
                check(*state, op, convs[i].n);
                op_destroy(op);
        }
}

static void linear_agrees(void **state)
{
        static const struct linear_args args = {70, true};
        struct op *op = ops_layer(&op_linear, &args, (struct shape){131, 1, 1});
        check(*state, op, 45);
        op_destroy(op);
}

static void infinities_and_nans_stay(void **state)
{
        static const struct linear_args args = {3, false};
        struct ops_fixture *f = *state;
        struct op *op = ops_layer(&op_linear, &args, (struct shape){2, 1, 1});
        struct trial t = trial_of(f, op, 3);
        struct trial_data *data = NULL;
        struct err e = {0};
        const uint32_t quiet = 0x7FFFFFFF;
        t.backward = t.training = false;
        CHECK_OK(trial_data_create(op, 3, f->seed, &data, &e), &e);
        data->x[0][0] = INFINITY;
        memcpy(&data->x[0][2], &quiet, sizeof quiet);
        CHECK_OK(trial_run(&t, data, &e), &e);
        for (int k = 0; k < 3; k++) {
                assert_true(isinf(data->y[k]) && isnan(data->y[3 + k]) && isfinite(data->y[6 + k]));
        }
        trial_data_destroy(data);
        op_destroy(op);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(conv_agrees),
                cmocka_unit_test(linear_agrees),
                cmocka_unit_test(infinities_and_nans_stay),
        };
        return OPS_RUN(tests);
}
