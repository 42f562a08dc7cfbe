/* Products by CLBlast on whatever device there is, with parameters that its search found there. CLBlast
   compiles for half a minute of a core on PoCL before its first product, and PoCL keeps that. */
#include "ops.h"
#include "ops/conv.h"
#include "ops/kinds.h"
#include "ops/linear.h"
#include "ops/selftest.h"
#include "ops/strategy.h"
#include "ops/tuner.h"

#include <stdlib.h>

static struct ops_fixture *with_parameters(void **state)
{
        struct ops_fixture *f = *state;
        struct clblast_params p;
        struct err e = {0};
        double gflops = 0;
        if (!dev_info(f->dev)->clblast) {
                assert_null(clblast_version());
                skip();
        }
        if (clblast_applied(f->dev))
                return f;
        CHECK_OK(tuner_clblast(f->dev, 0, &p, &gflops, &e), &e);
        assert_true(gflops > 0);
        assert_true(clblast_params_equal(&p, clblast_applied(f->dev)));
        print_message("# CLBlast: %.1f GFLOP/s\n", gflops);
        return f;
}

/* First of all: nothing has parameters yet. */
static void wrong_products_are_passed_over(void **state)
{
        struct ops_fixture *f = *state;
        struct clblast_params p;
        struct err e = {0};
        double gflops;
        if (!dev_info(f->dev)->clblast)
                skip();
        assert_null(clblast_applied(f->dev));
        assert_int_equal(setenv("CNND_TEST_LIE", "clblast", 1), 0);
        const int rc = tuner_clblast(f->dev, 0, &p, &gflops, &e);
        assert_int_equal(unsetenv("CNND_TEST_LIE"), 0);
        assert_int_equal(rc, ERR_NOT_FOUND);
        assert_non_null(strstr(e.message, "with no parameters that were tried"));
        assert_null(clblast_applied(f->dev));
}

static bool takes_clblast(const struct ops_fixture *f, const struct op *op, int lanes)
{
        return op->kind->variants(op, OP_WEIGHTS, lanes, dev_info(f->dev)) & 1u << OP_CLBLAST;
}

static void linear_agrees(void **state)
{
        static const struct {
                int in, out, n;
                bool bias;
        } cases[] = {{1, 1, 1, true}, {84, 10, 17, true}, {130, 61, 33, false}, {3, 270, 40, true}};
        struct ops_fixture *f = with_parameters(state);
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
                const struct linear_args args = {cases[i].out, cases[i].bias};
                struct op *op = ops_layer(&op_linear, &args, (struct shape){cases[i].in, 1, 1});
                assert_true(takes_clblast(f, op, 16) && takes_clblast(f, op, 32));
                ops_check_all(f, op, cases[i].n, 1e-4);
                op_destroy(op);
        }
}

static void conv_agrees(void **state)
{
        static const struct {
                struct shape in;
                int outs, n;
                bool bias;
        } cases[] = {{{1, 1, 1}, 1, 1, true}, {{5, 3, 7}, 9, 19, true}, {{67, 2, 3}, 33, 35, false},
                {{64, 2, 2}, 64, 32, true}};
        struct ops_fixture *f = with_parameters(state);
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
                const struct conv_args args = {
                        cases[i].outs, {1, 1}, {1, 1}, {0, 0}, {1, 1}, 1, cases[i].bias};
                struct op *op = ops_layer(&op_conv2d, &args, cases[i].in);
                assert_true(takes_clblast(f, op, 16) && takes_clblast(f, op, 32));
                ops_check_all(f, op, cases[i].n, 1e-4);
                op_destroy(op);
        }
}

/* Everything that is no plain product. */
static void other_layers_do_not_take_it(void **state)
{
        static const struct conv_args args[] = {
                {4, {3, 3}, {1, 1}, {1, 1}, {1, 1}, 1, true},
                {4, {1, 1}, {2, 1}, {0, 0}, {1, 1}, 1, true},
                {4, {1, 1}, {1, 1}, {0, 1}, {1, 1}, 1, true},
                {4, {1, 1}, {1, 1}, {0, 0}, {1, 1}, 2, true},
        };
        struct ops_fixture *f = *state;
        for (int i = 0; i < 4; i++) {
                struct op *op = ops_layer(&op_conv2d, &args[i], (struct shape){4, 5, 5});
                assert_false(takes_clblast(f, op, 16));
                op_destroy(op);
        }
}

/* The plan holds what CLBlast takes beside the matrices, and a layer for which that is too much of the
   device's memory does without. */
static void workspace_is_planned(void **state)
{
        struct ops_fixture *f = *state;
        struct dev_info info = *dev_info(f->dev);
        struct op_needs with = {0}, without = {0};
        struct op *op = ops_layer(&op_linear, &(struct linear_args){500, true}, (struct shape){300, 1, 1});
        info.clblast = true;
        op->kind->needs(op, 20, 16, &info, &with);
        assert_int_equal(with.workspace_forward,
                128 * 512 + (128 + 512) * 384 + info.base_align_bytes / sizeof(float));
        assert_int_equal(with.workspace_backward, with.workspace_forward);
        info.clblast = false;
        op->kind->needs(op, 20, 16, &info, &without);
        assert_int_equal(without.workspace_forward, 0);
        info.clblast = true;
        info.global_bytes = 16 * with.workspace_forward * sizeof(float) - 1;
        assert_false(op->kind->variants(op, OP_FORWARD, 16, &info) & 1u << OP_CLBLAST);
        op_destroy(op);
}

static void tuner_times_it(void **state)
{
        struct ops_fixture *f = with_parameters(state);
        struct tuner_times times;
        struct err e = {0};
        enum op_variant v[OP_DIRECTIONS];
        char name[STRATEGY_NAME];
        struct op *op = ops_layer(&op_linear, &(struct linear_args){50, true}, (struct shape){60, 1, 1});
        const int lanes = dev_info(f->dev)->lanes;
        assert_true(strategy_name(op, 2 * lanes, lanes, dev_info(f->dev), name));
        assert_true(tuner_can_choose(f->dev, op, lanes));
        CHECK_OK(tuner_measure(f->dev, op, 2 * lanes, lanes, v, &times, &e), &e);
        for (int d = 0; d < OP_DIRECTIONS; d++) {
                assert_true(times.seconds[d][OP_CLBLAST] > 0 && times.seconds[d][OP_TILED] > 0);
                const bool faster = times.seconds[d][OP_CLBLAST] < times.seconds[d][OP_TILED];
                assert_int_equal(v[d], faster ? OP_CLBLAST : OP_TILED);
        }
        op_destroy(op);
}

/* Last: it is switched off from then on. */
static void selftest_switches_it_off(void **state)
{
        static const enum op_variant v[OP_DIRECTIONS] = {OP_CLBLAST, OP_CLBLAST, OP_CLBLAST};
        struct ops_fixture *f = with_parameters(state);
        struct err e = {0};
        struct op *op = ops_layer(&op_linear, &(struct linear_args){50, true}, (struct shape){60, 1, 1});
        assert_true(selftest_allows(f->dev, &op_conv2d, OP_CLBLAST));
        assert_int_equal(setenv("CNND_TEST_LIE", "linear", 1), 0);
        CHECK_OK(selftest_layer(f->dev, op, v, &e), &e);
        assert_int_equal(unsetenv("CNND_TEST_LIE"), 0);
        assert_false(selftest_allows(f->dev, &op_linear, OP_CLBLAST));
        assert_false(selftest_allows(f->dev, &op_conv2d, OP_CLBLAST));
        assert_true(selftest_allows(f->dev, &op_linear, OP_TILED));
        assert_false(tuner_can_choose(f->dev, op, dev_info(f->dev)->lanes));
        op_destroy(op);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(wrong_products_are_passed_over),
                cmocka_unit_test(linear_agrees),
                cmocka_unit_test(conv_agrees),
                cmocka_unit_test(other_layers_do_not_take_it),
                cmocka_unit_test(workspace_is_planned),
                cmocka_unit_test(tuner_times_it),
                cmocka_unit_test(selftest_switches_it_off),
        };
        return setenv("CNND_TEST_CLBLAST", "1", 1) ? 1 : OPS_RUN(tests);
}
