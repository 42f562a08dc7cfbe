#include "ops.h"
#include "ops/activation.h"
#include "ops/kinds.h"

#include <math.h>

static const struct gelu_args by_tanh = {GELU_FORM_TANH};

static const struct {
        const struct op_kind *kind;
        const void *args;
} layers[] = {
        {&op_relu, NULL},
        {&op_sigmoid, NULL},
        {&op_tanh, NULL},
        {&op_leaky_relu, NULL},
        {&op_relu6, NULL},
        {&op_silu, NULL},
        {&op_gelu, NULL},
        {&op_gelu, &by_tanh},
};
enum { LAYERS = sizeof layers / sizeof layers[0] };

static struct op *layer(int k, struct shape in)
{
        return ops_layer(layers[k].kind, layers[k].args, in);
}

static void agrees_with_reference(void **state)
{
        static const struct shape shapes[] = {{1, 1, 1}, {3, 5, 7}, {2, 17, 9}};
        static const int batches[] = {1, 16, 33};
        for (int k = 0; k < LAYERS; k++)
                for (int i = 0; i < 3; i++) {
                        /* gelu's slope is 0 within the range, which a number alone is not measured by. */
                        const bool alone = i == 0 && layers[k].kind == &op_gelu;
                        struct op *op = layer(k, shapes[i]);
                        ops_check_all(*state, op, alone ? 17 : batches[i], 1e-6);
                        op_destroy(op);
                }
}

static void reference_has_right_gradients(void **state)
{
        for (int k = 0; k < LAYERS; k++) {
                struct op *op = layer(k, (struct shape){2, 3, 1});
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

/* Of gelu by tanh, which is x / (1 + exp(-this)). */
static double exponent_of(double x)
{
        return 2 * sqrt(2 / M_PI) * (x + 0.044715 * x * x * x);
}

static double value_of(int k, double x)
{
        const struct op_kind *kind = layers[k].kind;
        if (kind == &op_relu)
                return x < 0 ? 0 : x;
        if (kind == &op_sigmoid)
                return 1 / (1 + exp(-x));
        if (kind == &op_tanh)
                return tanh(x);
        if (kind == &op_leaky_relu)
                return x < 0 ? 0.01 * x : x;
        if (kind == &op_relu6)
                return x < 0 ? 0 : x > 6 ? 6 : x;
        if (kind == &op_silu)
                return x / (1 + exp(-x));
        return layers[k].args ? x / (1 + exp(-exponent_of(x))) : x * erfc(-x / sqrt(2)) / 2;
}

/* What is below 2e-38, and the product of that with x, may be nothing. */
static double least_of(int k, double x)
{
        return layers[k].kind == &op_silu || layers[k].kind == &op_gelu ? 2e-38 * fmax(1, fmin(fabs(x), 100))
                                                                        : 2e-38;
}

/* The relative error that is allowed: gelu has more steps than the others, and by tanh what rounding does to
   its exponent is the result's. */
static double allowed_of(int k, double x)
{
        if (layers[k].kind != &op_gelu)
                return 3e-7;
        return layers[k].args && x < 0 ? 5e-7 + 2e-7 * fmin(-exponent_of(x), 100) : 5e-7;
}

/* Large values, infinities and NaN, and the relative error of small results, which a random batch does not
 * see. */
static void extremes(void **state)
{
        static const float inputs[] = {0, -0.0f, 1e-30f, -1e-30f, 1e-8f, 1e-4f, -1e-3f, 0.02f, 0.5f, 0.599f,
                0.601f, -0.75f, -2, 5, -5, -8.3f, -10.1f, 12.9f, -12.9f, -13.1f, -13.3f, 14.5f, 17, -17, 80,
                -80, 87.4f, -87.4f, 88.7f, -88.7f, 88.8f, -88.8f, 1e4f, -1e4f, 3e38f, -3e38f, INFINITY,
                -INFINITY, NAN};
        enum { COUNT = sizeof inputs / sizeof inputs[0] };
        struct ops_fixture *f = *state;
        struct trial t = {.dev = f->dev, .n = 1};
        for (int k = 0; k < 2 * LAYERS; k++) {
                struct trial_data *data;
                struct err e = {0};
                struct op *op = layer(k / 2, (struct shape){COUNT, 1, 1});
                t.op = op;
                t.lanes = k % 2 ? 16 : 1;
                t.variant = OP_TILED;
                CHECK_OK(trial_data_create(op, 1, f->seed, &data, &e), &e);
                memcpy(data->x[0], inputs, sizeof inputs);
                CHECK_OK(trial_run(&t, data, &e), &e);
                for (int i = 0; i < COUNT; i++) {
                        const double x = (double)inputs[i], want = value_of(k / 2, x),
                                     got = (double)data->y[i];
                        const double allowed = allowed_of(k / 2, x) * fabs(want) + least_of(k / 2, x);
                        if (isnan(want) ? !isnan(got) : got != want && !(fabs(got - want) <= allowed))
                                fail_msg("%s(%g) is %.9g, wanted %.9g", op->kind->type, x, got, want);
                }
                trial_data_destroy(data);
                op_destroy(op);
        }
}

/* Slopes of what is far from 0 too, against differences. The kinks at 0 are none of the points. */
static void gradients_of_large_values(void **state)
{
        enum { COUNT = 401 };
        struct ops_fixture *f = *state;
        struct trial t = {.dev = f->dev, .n = 1, .variant = OP_TILED, .training = true, .backward = true};
        for (int k = 0; k < 2 * LAYERS; k++) {
                struct trial_data *data;
                struct err e = {0};
                struct op *op = layer(k / 2, (struct shape){COUNT, 1, 1});
                t.op = op;
                t.lanes = k % 2 ? 16 : 1;
                CHECK_OK(trial_data_create(op, 1, f->seed, &data, &e), &e);
                for (int i = 0; i < COUNT; i++) {
                        data->x[0][i] = (float)(i - 200) * 0.1f + 0.05f;
                        data->dy[i] = 1;
                }
                CHECK_OK(trial_run(&t, data, &e), &e);
                for (int i = 0; i < COUNT; i++) {
                        const double x = (double)data->x[0][i], got = (double)data->dx[0][i], h = 1e-4;
                        const double want = (value_of(k / 2, x + h) - value_of(k / 2, x - h)) / (2 * h);
                        if (!(fabs(got - want) <= 2e-6))
                                fail_msg("%s has the slope %.9g at %g, wanted %.9g", op->kind->type, got, x,
                                        want);
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
                cmocka_unit_test(gradients_of_large_values),
        };
        return OPS_RUN(tests);
}
