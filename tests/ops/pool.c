#include "ops.h"
#include "ops/kinds.h"
#include "ops/pool.h"

#include <math.h>

static const struct op_kind *const kinds[] = {&op_max_pool2d, &op_avg_pool2d};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

static void agrees_with_reference(void **state)
{
        static const struct {
                struct shape in;
                int n;
                struct pool_args args;
        } cases[] = {
                {{1, 1, 1}, 1, {{1, 1}, {0, 0}, {0, 0}, false, true}},
                {{3, 6, 8}, 17, {{2, 2}, {2, 2}, {0, 0}, false, true}},
                {{2, 7, 5}, 16, {{2, 3}, {0, 0}, {0, 0}, false, true}},
                {{2, 8, 9}, 5, {{3, 3}, {2, 2}, {1, 1}, false, true}},
                {{2, 8, 9}, 33, {{3, 3}, {2, 2}, {1, 1}, false, false}},
                {{1, 5, 7}, 3, {{3, 4}, {1, 1}, {1, 2}, false, false}},
                {{2, 7, 6}, 2, {{2, 1}, {3, 2}, {1, 0}, false, true}},
                {{2, 5, 6}, 17, {{2, 2}, {0, 0}, {0, 0}, true, true}},
                {{2, 8, 6}, 16, {{3, 3}, {2, 2}, {1, 1}, true, true}},
                {{2, 8, 6}, 5, {{3, 3}, {2, 3}, {1, 1}, true, false}},
                {{1, 2, 3}, 3, {{3, 5}, {2, 3}, {0, 0}, true, true}},
                {{1, 7, 4}, 18, {{2, 3}, {4, 3}, {1, 1}, true, true}},
                {{3, 20, 31}, 18, {{3, 2}, {1, 2}, {0, 1}, false, false}},
        };
        for (size_t i = 0; i < KINDS * sizeof cases / sizeof cases[0]; i++) {
                struct op *op = ops_layer(kinds[i % KINDS], &cases[i / KINDS].args, cases[i / KINDS].in);
                ops_check_all(*state, op, cases[i / KINDS].n, 1e-6);
                op_destroy(op);
        }
}

/* Windows of one size, of several sizes, and more windows than pixels. */
static void adaptive(void **state)
{
        static const struct {
                struct shape in;
                int n;
                struct adaptive_pool_args args;
                double tolerance;
        } cases[] = {
                {{5, 7, 5}, 17, {{1, 1}}, 1e-6},
                {{2, 8, 6}, 16, {{4, 3}}, 1e-6},
                {{3, 13, 11}, 33, {{7, 7}}, 1e-6},
                {{2, 3, 2}, 3, {{7, 5}}, 2e-6},
                {{2, 9, 8}, 1, {{6, 8}}, 1e-6},
        };
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
                struct op *op = ops_layer(&op_adaptive_avg_pool2d, &cases[i].args, cases[i].in);
                assert_int_equal(op->out.h, cases[i].args.output_size[0]);
                ops_check_all(*state, op, cases[i].n, cases[i].tolerance);
                op_destroy(op);
        }
}

/* Whole numbers from a few: most windows have equals, and the gradient must go to the first. NaN is the
 * largest. */
static void equals_and_nan(void **state)
{
        struct ops_fixture *f = *state;
        const struct pool_args args = {{3, 3}, {2, 2}, {1, 1}, false, true};
        struct op *op = ops_layer(&op_max_pool2d, &args, (struct shape){2, 9, 10});
        for (int i = 0; i < 12; i++) {
                struct trial t = {.dev = f->dev,
                        .op = op,
                        .n = 18,
                        .variant = (enum op_variant)(i % 2),
                        .lanes = (int[]){1, 16, 32}[i / 2 % 3],
                        .training = true,
                        .backward = true};
                struct trial_data *data;
                struct trial_result r;
                struct err e = {0};
                CHECK_OK(trial_data_create(op, t.n, f->seed, &data, &e), &e);
                for (int k = 0; k < t.n * 180; k++)
                        data->x[0][k] = i >= 6 && k % 23 == 0 ? NAN : roundf(data->x[0][k]);
                CHECK_OK(trial_compare(&t, data, &r, &e), &e);
                if (r.error > 1e-6)
                        fail_msg("lanes %d variant %d: %s[%lld] is %.9g, wanted %.9g", t.lanes,
                                (int)t.variant, r.what, (long long)r.index, r.got, r.want);
                trial_data_destroy(data);
        }
        op_destroy(op);
}

static void reference_has_right_gradients(void **state)
{
        const struct pool_args args = {{3, 2}, {2, 1}, {1, 1}, false, false};
        for (int k = 0; k < KINDS; k++) {
                struct op *op = ops_layer(kinds[k], &args, (struct shape){2, 5, 4});
                ops_check_reference(*state, op, 2);
                op_destroy(op);
        }
        struct op *op = ops_layer(
                &op_adaptive_avg_pool2d, &(const struct adaptive_pool_args){{2, 5}}, (struct shape){2, 3, 4});
        ops_check_reference(*state, op, 2);
        op_destroy(op);
}

/* Sizes that PyTorch 1.13 gives. */
static void sizes(void **state)
{
        static const struct {
                int side, kernel_size, stride, padding, floor, ceil;
        } cases[] = {{5, 2, 2, 0, 2, 3}, {6, 3, 2, 0, 2, 3}, {7, 3, 2, 0, 3, 3}, {7, 3, 2, 1, 4, 4},
                {8, 3, 2, 1, 4, 5}, {4, 1, 3, 0, 2, 2}, {3, 2, 3, 1, 2, 2}, {5, 2, 4, 1, 2, 2},
                {112, 3, 2, 0, 55, 56}};
        (void)state;
        for (size_t i = 0; i < 2 * sizeof cases / sizeof cases[0]; i++) {
                const int k = cases[i / 2].kernel_size, s = cases[i / 2].stride, p = cases[i / 2].padding;
                const struct pool_args args = {{k, k}, {s, s}, {p, p}, i % 2, true};
                struct op *op = ops_layer(
                        &op_max_pool2d, &args, (struct shape){1, cases[i / 2].side, cases[i / 2].side});
                assert_int_equal(op->out.w, i % 2 ? cases[i / 2].ceil : cases[i / 2].floor);
                op_destroy(op);
        }
}

static void refuses_what_pytorch_refuses(void **state)
{
        static const struct {
                struct pool_args args;
                const char *pointer;
        } cases[] = {
                {{{4, 1}, {1, 1}, {0, 0}, false, true}, "/kernel_size"},
                {{{2, 2}, {1, 1}, {2, 0}, false, true}, "/padding"},
        };
        (void)state;
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
                const struct shape in = {1, 3, 9};
                struct op *op = NULL;
                struct err e = {0};
                assert_int_equal(op_create(&op_max_pool2d, &cases[i].args, &in, 1, &op, &e), ERR_INVALID);
                assert_string_equal(e.pointer, cases[i].pointer);
                assert_null(op);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(agrees_with_reference),
                cmocka_unit_test(adaptive),
                cmocka_unit_test(sizes),
                cmocka_unit_test(equals_and_nan),
                cmocka_unit_test(reference_has_right_gradients),
                cmocka_unit_test(refuses_what_pytorch_refuses),
        };
        return OPS_RUN(tests);
}
