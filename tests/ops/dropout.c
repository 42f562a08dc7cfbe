#include "ops.h"
#include "ops/dropout.h"
#include "ops/kinds.h"

static void agrees_with_reference(void **state)
{
        static const struct {
                struct shape in;
                int n;
                struct dropout_args args;
        } cases[] = {
                {{1, 1, 1}, 1, {0.5}},
                {{3, 5, 7}, 17, {0.5}},
                {{2, 17, 9}, 33, {0.1}},
                {{6, 1, 1}, 16, {0}},
                {{3, 2, 1}, 3, {1}},
        };
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
                struct op *op = ops_layer(&op_dropout, &cases[i].args, cases[i].in);
                ops_check_all(*state, op, cases[i].n, 1e-6);
                op_destroy(op);
        }
}

static void reference_has_right_gradients(void **state)
{
        struct op *op = ops_layer(&op_dropout, NULL, (struct shape){2, 3, 1});
        ops_check_reference(*state, op, 2);
        op_destroy(op);
}

enum { ELEMENTS = 12 * 10 * 10 };

/* Forward on ones: the mask itself. `n` samples from `first` of the batch. */
static void run_mask(
        struct ops_fixture *f, const struct op *op, struct trial t, int step, int first, float *ret)
{
        int32_t vars[OP_VARS];
        struct trial_data *data;
        struct err e = {0};
        memcpy(vars, trial_vars, sizeof vars);
        vars[OP_VAR_STEP] = step;
        vars[OP_VAR_FIRST] = first;
        t.dev = f->dev;
        t.op = op;
        t.training = true;
        t.vars = vars;
        CHECK_OK(trial_data_create(op, t.n, f->seed, &data, &e), &e);
        for (int i = 0; i < t.n * ELEMENTS; i++)
                data->x[0][i] = 1;
        CHECK_OK(trial_run(&t, data, &e), &e);
        memcpy(ret, data->y, (size_t)t.n * ELEMENTS * sizeof *ret);
        trial_data_destroy(data);
}

static int count_kept(const float *mask, int count)
{
        int kept = 0;
        for (int i = 0; i < count; i++)
                kept += mask[i] > 0;
        return kept;
}

static int count_same(const float *a, const float *b, int count)
{
        int same = 0;
        for (int i = 0; i < count; i++)
                same += (a[i] > 0) == (b[i] > 0);
        return same;
}

/* What is dropped depends on seed, step, layer, sample and element, and on nothing else. */
static void masks(void **state)
{
        enum { N = 20, ALL = N * ELEMENTS };
        static float whole[ALL], other[ALL];
        struct op *op = ops_layer(&op_dropout, NULL, (struct shape){12, 10, 10});
        for (int variant = 0; variant < OP_VARIANTS; variant++) {
                run_mask(*state, op, (struct trial){.n = N, .lanes = 16, .variant = (enum op_variant)variant},
                        5, 0, whole);
                /* Half of 24000 within five deviations. */
                assert_in_range(count_kept(whole, ALL), 12000 - 388, 12000 + 388);
                run_mask(*state, op, (struct trial){.n = 13, .lanes = 1}, 5, 7, other);
                assert_memory_equal(other, whole + 7 * ELEMENTS, 13 * ELEMENTS * sizeof *other);
                run_mask(*state, op, (struct trial){.n = N, .lanes = 32, .variant = OP_TILED}, 5, 0, other);
                assert_memory_equal(other, whole, sizeof other);
                run_mask(*state, op, (struct trial){.n = N, .lanes = 16, .variant = OP_TILED}, 6, 0, other);
                assert_in_range(count_same(other, whole, ALL), 12000 - 388, 12000 + 388);
                run_mask(*state, op, (struct trial){.n = N, .lanes = 16, .variant = OP_TILED, .layer = 1}, 5,
                        0, other);
                assert_in_range(count_same(other, whole, ALL), 12000 - 388, 12000 + 388);
                assert_in_range(count_same(whole, whole + ELEMENTS, ELEMENTS), 600 - 87, 600 + 87);
        }
        op_destroy(op);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(agrees_with_reference),
                cmocka_unit_test(reference_has_right_gradients),
                cmocka_unit_test(masks),
        };
        return OPS_RUN(tests);
}
