#include "ops.h"
#include "ops/batch_norm.h"
#include "ops/kinds.h"

#include <math.h>

static void agrees_with_reference(void **state)
{
        static const struct {
                struct shape in;
                int n;
                struct batch_norm_args args;
        } cases[] = {
                {{1, 1, 1}, 11, {1e-5, 0.1, true, BATCH_NORM_FULL}},
                {{3, 5, 7}, 1, {1e-5, 0.1, true, BATCH_NORM_FULL}},
                {{3, 5, 7}, 16, {1e-3, 0.25, true, BATCH_NORM_FULL}},
                {{9, 1, 1}, 17, {1e-5, 0.1, true, BATCH_NORM_FULL}},
                {{40, 1, 1}, 33, {1e-5, 1, true, BATCH_NORM_FULL}},
                {{2, 9, 15}, 31, {1e-5, 0, true, BATCH_NORM_FULL}},
                {{4, 13, 11}, 33, {1e-5, 0.1, true, BATCH_NORM_FULL}},
                {{2, 19, 17}, 35,
                        {1e-5, 0.1, true, BATCH_NORM_FULL}}, /* planes that large work-groups sum up */
                /* Channels that the largest work-groups of GPUs do alone, and that they do not. */
                {{5, 19, 17}, 35, {1e-5, 0.1, true, BATCH_NORM_FULL}},
                {{4, 33, 32}, 33, {1e-5, 0.1, true, BATCH_NORM_FULL}},
                {{5, 4, 3}, 19, {1e-5, 0.1, false, BATCH_NORM_FULL}},
                {{3, 5, 3}, 33, {1e-3, 0.1, true, BATCH_NORM_MEAN_ONLY}},
                {{6, 3, 5}, 18, {1e-5, 0.2, false, BATCH_NORM_MEAN_ONLY}},
                {{6, 5, 7}, 18, {1e-3, 0.1, true, BATCH_NORM_VARIANCE_ONLY}},
                {{2, 4, 3}, 5, {1e-5, 0.1, false, BATCH_NORM_VARIANCE_ONLY}},
        };
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
                struct op *op = ops_layer(&op_batch_norm, &cases[i].args, cases[i].in);
                ops_check_all(
                        *state, op, cases[i].n, 1e-4); /* of a lone channel's gradients, which may cancel */
                op_destroy(op);
        }
}

/* One value a channel: PyTorch refuses it; here the variance is 0, and nothing is NaN. */
static void one_value_a_channel(void **state)
{
        struct op *op = ops_layer(&op_batch_norm, NULL, (struct shape){3, 1, 1});
        ops_check_all(*state, op, 1, 2e-5);
        op_destroy(op);
}

static void far_from_zero(void **state)
{
        struct op *op = ops_layer(&op_batch_norm, NULL, (struct shape){4, 9, 15});
        ops_check_far(*state, op);
        op_destroy(op);
}

/* With momentum 1 the running statistics are the batch's, however much smaller than those before. */
static void forgets_what_was(void **state)
{
        enum { N = 19, PIXELS = 15, CHANNELS = 5, VALUES = N * PIXELS };
        struct ops_fixture *f = *state;
        struct op *op = ops_layer(
                &op_batch_norm, &(struct batch_norm_args){1e-5, 1, true, 0}, (struct shape){CHANNELS, 3, 5});
        for (int i = 0; i < 6; i++) {
                const struct trial t = {.dev = f->dev,
                        .op = op,
                        .n = N,
                        .variant = (enum op_variant)(i % 2),
                        .lanes = (int[]){1, 16, 32}[i / 2],
                        .training = true};
                struct trial_data *data;
                struct err e = {0};
                CHECK_OK(trial_data_create(op, N, f->seed, &data, &e), &e);
                for (int k = 0; k < VALUES * CHANNELS; k++)
                        data->x[0][k] *= 1e-3f;
                CHECK_OK(trial_run(&t, data, &e), &e);
                for (int c = 0; c < CHANNELS; c++) {
                        double mean = 0, squares = 0;
                        for (int k = 0; k < 2 * VALUES; k++) {
                                const int n = k % VALUES / PIXELS, p = k % PIXELS;
                                const double x = (double)data->x[0][(n * CHANNELS + c) * PIXELS + p];
                                mean += k < VALUES ? x / VALUES : 0;
                                squares += k < VALUES ? 0 : (x - mean) * (x - mean);
                        }
                        const double var = squares / (VALUES - 1);
                        assert_true(fabs((double)data->params[BATCH_NORM_MEAN][c] - mean) <= 1e-8);
                        assert_true(fabs((double)data->params[BATCH_NORM_VAR][c] - var) <= 1e-5 * var);
                }
                trial_data_destroy(data);
        }
        op_destroy(op);
}

/* Behind trained layers a frozen batch norm passes gradients through its running statistics. */
static void frozen_passes_gradients(void **state)
{
        struct ops_fixture *f = *state;
        for (int i = 0; i < 36; i++) {
                const struct batch_norm_args args = {1e-3, 0.1, i % 2, i / 12};
                struct op *op = ops_layer(&op_batch_norm, &args, (struct shape){5, 3, 7});
                const struct trial t = {.dev = f->dev,
                        .op = op,
                        .n = 33,
                        .variant = (enum op_variant)(i / 2 % 2),
                        .lanes = (int[]){1, 16, 32}[i / 4 % 3],
                        .backward = true,
                        .frozen = true,
                        .slices = i % 3 > 0,
                        .accumulate_dx = i % 3 == 2};
                ops_check(&t, f->seed + (uint64_t)i, 2e-5);
                op_destroy(op);
        }
}

static void reference_has_right_gradients(void **state)
{
        for (int i = 0; i < 6; i++) {
                const struct batch_norm_args args = {1e-3, 0.1, i % 2, i / 2};
                struct op *op = ops_layer(&op_batch_norm, &args, (struct shape){2, 2, 3});
                assert_int_equal(op->num_params, i % 2 ? 5 : 3);
                ops_check_reference(*state, op, 3);
                op_destroy(op);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(agrees_with_reference),
                cmocka_unit_test(one_value_a_channel),
                cmocka_unit_test(far_from_zero),
                cmocka_unit_test(forgets_what_was),
                cmocka_unit_test(frozen_passes_gradients),
                cmocka_unit_test(reference_has_right_gradients),
        };
        return OPS_RUN(tests);
}
