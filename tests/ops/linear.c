#include "ops.h"
#include "ops/kinds.h"
#include "ops/linear.h"

static void agrees_with_reference(void **state)
{
        static const struct {
                int in, out, n;
                bool bias;
        } cases[] = {{1, 1, 1, true}, {400, 120, 16, true}, {84, 10, 17, true}, {7, 3, 3, false},
                {130, 61, 33, true}, {1030, 5, 16, true}, {3, 270, 40, false}, {129, 65, 1, true},
                {512, 64, 150, true}};
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
                const struct linear_args args = {cases[i].out, cases[i].bias};
                struct op *op = ops_layer(&op_linear, &args, (struct shape){cases[i].in, 1, 1});
                ops_check_all(*state, op, cases[i].n, 1e-4);
                op_destroy(op);
        }
}

static void reference_has_right_gradients(void **state)
{
        struct op *op = ops_layer(&op_linear, &(struct linear_args){3, true}, (struct shape){5, 1, 1});
        ops_check_reference(*state, op, 4);
        op_destroy(op);
}

static void wants_features(void **state)
{
        (void)state;
        const struct linear_args args = {10, true};
        const struct shape in = {16, 5, 5};
        struct err e = {0};
        struct op *op = NULL;
        assert_int_equal(op_create(&op_linear, &args, &in, 1, &op, &e), ERR_INVALID);
        assert_string_equal(e.pointer, "/type");
        assert_non_null(strstr(e.message, "put a flatten layer before it"));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(agrees_with_reference),
                cmocka_unit_test(reference_has_right_gradients),
                cmocka_unit_test(wants_features),
        };
        return OPS_RUN(tests);
}
