#include "ops.h"
#include "ops/kinds.h"
#include "ops/layer_norm.h"

static void agrees_with_reference(void **state)
{
        static const struct {
                struct shape in;
                int n;
                struct layer_norm_args args;
        } cases[] = {
                {{11, 1, 1}, 17, {{1, {11}}, 1e-5, true, true}},
                {{3, 5, 7}, 16, {{3, {3, 5, 7}}, 1e-5, true, true}},
                {{3, 5, 7}, 33, {{2, {5, 7}}, 1e-3, true, false}},
                {{2, 4, 19}, 3, {{1, {19}}, 1e-5, true, true}},
                {{9, 13, 3}, 18, {{3, {9, 13, 3}}, 1e-5, false, true}},
                {{4, 1, 1}, 1, {{3, {4, 1, 1}}, 1e-5, true, true}},
                {{4, 3, 1}, 5, {{1, {1}}, 1e-5, true, true}},
        };
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
                struct op *op = ops_layer(&op_layer_norm, &cases[i].args, cases[i].in);
                ops_check_all(*state, op, cases[i].n, 1e-4);
                op_destroy(op);
        }
}

/* A mean of 1000 times the deviation: sums of squares would lose everything. */
static void far_from_zero(void **state)
{
        const struct layer_norm_args args = {{3, {4, 9, 15}}, 1e-5, true, true};
        struct op *op = ops_layer(&op_layer_norm, &args, (struct shape){4, 9, 15});
        ops_check_far(*state, op);
        op_destroy(op);
}

static void reference_has_right_gradients(void **state)
{
        static const struct layer_norm_args args[] = {
                {{3, {2, 2, 3}}, 1e-3, true, true},
                {{1, {3}}, 1e-3, true, false},
                {{2, {2, 3}}, 1e-3, false, true},
        };
        for (int i = 0; i < 3; i++) {
                struct op *op = ops_layer(&op_layer_norm, &args[i], (struct shape){2, 2, 3});
                assert_int_equal(op->num_params, 2 - i);
                ops_check_reference(*state, op, 3);
                op_destroy(op);
        }
}

static void other_shapes_are_refused(void **state)
{
        static const struct {
                struct shape in;
                struct op_dims dims;
        } cases[] = {
                {{3, 5, 7}, {1, {5}}},
                {{3, 5, 7}, {2, {3, 5}}},
                {{3, 5, 7}, {3, {5, 3, 7}}},
                {{3, 1, 1}, {1, {1}}},
        };
        (void)state;
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
                const struct layer_norm_args args = {cases[i].dims, 1e-5, true, true};
                struct op *op = NULL;
                struct err e = {0};
                assert_int_equal(op_create(&op_layer_norm, &args, &cases[i].in, 1, &op, &e), ERR_INVALID);
                assert_string_equal(e.pointer, "/normalized_shape");
                assert_null(op);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(agrees_with_reference),
                cmocka_unit_test(far_from_zero),
                cmocka_unit_test(reference_has_right_gradients),
                cmocka_unit_test(other_shapes_are_refused),
        };
        return OPS_RUN(tests);
}
