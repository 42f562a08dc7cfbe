#include "ops.h"
#include "ops/kinds.h"

#include <math.h>

static const struct op_kind *const kinds[] = {&op_relu, &op_sigmoid, &op_tanh};
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
                        double x = (double)inputs[i], want = k / 2 == 0   ? (x < 0 ? 0 : x)
                                                             : k / 2 == 1 ? 1 / (1 + exp(-x))
                                                                          : tanh(x);
                        double got = (double)data->y[i];
                        if (isnan(want) ? !isnan(got)
                                        : got != want && fabs(got - want) > 3e-7 * fabs(want) + 2e-38)
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
                cmocka_unit_test(extremes),
        };
        return OPS_RUN(tests);
}
