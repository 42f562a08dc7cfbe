#include "ops.h"
#include "ops/kinds.h"

static const struct op_kind *const kinds[] = {&op_add, &op_copy};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

static void agrees_with_reference(void **state)
{
        static const struct shape shapes[] = {{1, 1, 1}, {3, 5, 7}, {2, 17, 9}};
        static const int batches[] = {1, 16, 33};
        for (int k = 0; k < KINDS; k++)
                for (int i = 0; i < 3; i++) {
                        struct op *op = ops_layer(kinds[k], NULL, shapes[i]);
                        ops_check_all(*state, op, batches[i], 1e-7);
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

static void branches_must_agree(void **state)
{
        static const struct shape others[] = {{3, 5, 7}, {2, 6, 7}, {2, 5, 6}};
        (void)state;
        for (int i = 0; i < 3; i++) {
                const struct shape in[2] = {{2, 5, 7}, others[i]};
                struct op *op = NULL;
                struct err e = {0};
                assert_int_equal(op_create(&op_add, NULL, in, 2, &op, &e), ERR_INVALID);
                assert_non_null(strstr(e.message, "cannot be added to 2x5x7"));
                assert_null(op);
        }
}

/* Joins are the net's own: no layer type that a user could ask for. */
static void no_layer_types(void **state)
{
        (void)state;
        for (int k = 0; k < KINDS; k++)
                assert_null(op_kind_find(kinds[k]->type));
        assert_ptr_equal(op_kind_find("relu"), &op_relu);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(agrees_with_reference),
                cmocka_unit_test(reference_has_right_gradients),
                cmocka_unit_test(branches_must_agree),
                cmocka_unit_test(no_layer_types),
        };
        return OPS_RUN(tests);
}
