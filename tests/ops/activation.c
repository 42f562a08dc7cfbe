#include "ops.h"
#include "ops/activation.h"
#include "ops/kinds.h"

#include <math.h>

static const struct op_kind *const kinds[] = {&op_relu, &op_sigmoid, &op_tanh, &op_leaky_relu, &op_silu};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

static void agrees_with_reference(void **state)
{
        static const struct shape shapes[] = {{1, 1, 1}, {3, 5, 7}, {2, 17, 9}};
        static const int batches[] = {1, 16, 33};
        for (int k = 0; k < KINDS; k++)
                for (int i = 0; i < 3; i++) {
                        struct op *op = ops_layer(kinds[k], NULL, shapes[i]);
                        ops_check_all(*state, op, batches[i], 1e-6);
                        op_destroy(op);
                }
}

static void reference_has_right_gradients(void **state)
{
        for (int k = 0; k < KINDS; k++) {
                struct op *op = ops_layer(kinds[k], NULL, (struct shape){2, 3, 1});
                ops_check_reference(*state, op, 2);
                op_destroy(op);
        }
}

static void slopes(void **state)
{
        static const double slopes[] = {0, 0.2, 1};
        for (int i = 0; i < 3; i++) {
                struct op *op = ops_layer(
                        &op_leaky_relu, &(const struct leaky_relu_args){slopes[i]}, (struct shape){3, 5, 7});
                ops_check_all(*state, op, 33, 1e-6);
                op_destroy(op);
        }
}

static double value_of(const struct op_kind *kind, double x)
{
        if (kind == &op_relu)
                return x < 0 ? 0 : x;
        if (kind == &op_sigmoid)
                return 1 / (1 + exp(-x));
        if (kind == &op_tanh)
                return tanh(x);
        if (kind == &op_leaky_relu)
                return x < 0 ? 0.01 * x : x;
        return x / (1 + exp(-x));
}

/* What is below 2e-38, and silu's product of that with x, may be nothing. */
static double least_of(const struct op_kind *kind, double x)
{
        return kind == &op_silu ? 2e-38 * fmax(1, fmin(fabs(x), 100)) : 2e-38;
}

/* Large values, infinities and NaN, and the relative error of small results, which a random batch does not
 * see. */
static void extremes(void **state)
{
        static const float inputs[] = {0, -0.0f, 1e-30f, -1e-30f, 1e-8f, 1e-4f, -1e-3f, 0.02f, 0.5f, 0.599f,
                0.601f, 5, -5, 17, -17, 80, -80, 87.4f, -87.4f, 88.7f, -88.7f, 88.8f, -88.8f, 1e4f, -1e4f,
                3e38f, -3e38f, INFINITY, -INFINITY, NAN};
        enum { COUNT = sizeof inputs / sizeof inputs[0] };
        struct ops_fixture *f = *state;
        struct trial t = {.dev = f->dev, .n = 1};
        for (int k = 0; k < 2 * KINDS; k++) {
                struct trial_data *data;
                struct err e = {0};
                struct op *op = ops_layer(kinds[k / 2], NULL, (struct shape){COUNT, 1, 1});
                t.op = op;
                t.lanes = k % 2 ? 16 : 1;
                t.variant = OP_TILED;
                CHECK_OK(trial_data_create(op, 1, f->seed, &data, &e), &e);
                memcpy(data->x[0], inputs, sizeof inputs);
                CHECK_OK(trial_run(&t, data, &e), &e);
                for (int i = 0; i < COUNT; i++) {
                        double x = (double)inputs[i], want = value_of(kinds[k / 2], x);
                        double got = (double)data->y[i], least = least_of(kinds[k / 2], x);
                        if (isnan(want) ? !isnan(got)
                                        : got != want && fabs(got - want) > 3e-7 * fabs(want) + least)
                                fail_msg("%s(%g) is %.9g, wanted %.9g", kinds[k / 2]->type, x, got, want);
                }
                trial_data_destroy(data);
                op_destroy(op);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(agrees_with_reference),
                cmocka_unit_test(reference_has_right_gradients),
                cmocka_unit_test(slopes),
                cmocka_unit_test(extremes),
        };
        return OPS_RUN(tests);
}
