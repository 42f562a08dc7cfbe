/* Every kernel of every op once, on the selftest's examples: for checkers of memory, which make a device a
   thousand times slower. CNND_TEST_ONLY names one op ("loss" for the loss), or with a minus the one to leave
   out; CNND_TEST_SCALAR leaves out what works on vectors of 16 samples, and takes few samples;
   CNND_TEST_HALF, 0 or 1, takes every second trial. See oclgrind.py. */
#include "ops.h"
#include "ops/kinds.h"
#include "ops/loss_trial.h"

static const struct {
        int n, lanes;
        enum op_variant variant;
        enum op_precision precision;
} ways[] = {
        {2, 1, OP_TILED, OP_FP32}, /* ops that have nothing tiled for these lanes run the naive kernels */
        {17, 16, OP_NAIVE, OP_FP32}, {18, 16, OP_TILED, OP_FP32}, {18, 16, OP_WINOGRAD, OP_FP32},
        {33, 32, OP_TILED, OP_FP32}, {33, 32, OP_WINOGRAD, OP_FP32},
        {17, 32, OP_TILED, OP_TF32}, /* one convolution, one linear layer */
};
enum { WAYS = sizeof ways / sizeof ways[0] };

static bool is_wanted(const char *name)
{
        const char *only = getenv("CNND_TEST_ONLY");
        return !only || (*only == '-' ? strcmp(only + 1, name) != 0 : strcmp(only, name) == 0);
}

static bool is_left_out(int way, const struct op_kind *kind, int example)
{
        const bool scalar = getenv("CNND_TEST_SCALAR") != NULL;
        if (ways[way].precision == OP_TF32)
                return kind != (scalar ? &op_linear : &op_conv2d) || example > 0;
        return scalar && ways[way].lanes == 16;
}

static bool is_there(const struct ops_fixture *f, const struct op *op, int way)
{
        return ways[way].variant <= OP_TILED ||
               (op->kind->variants && op->kind->variants(op, OP_FORWARD, ways[way].lanes, dev_info(f->dev)) &
                                              1u << ways[way].variant);
}

/* Each half has its turn. */
static bool is_of_this_half(void)
{
        static int turn;
        const char *half = getenv("CNND_TEST_HALF");
        return !half || turn++ % 2 == atoi(half);
}

/* Two numbers that happen to lie close together have no deviation that floats could tell; three seldom do. */
static int samples_of(int way, const struct op_kind *kind)
{
        return !getenv("CNND_TEST_SCALAR") ? ways[way].n : kind == &op_batch_norm ? 3 : 2;
}

static int try_way(struct ops_fixture *f, const struct op *op, int i, bool odd)
{
        struct trial t = {.dev = f->dev,
                .op = op,
                .n = samples_of(i, op->kind),
                .lanes = ways[i].lanes,
                .variant = ways[i].variant,
                .precision = ways[i].precision,
                .training = true,
                .backward = true,
                .slices = !odd,
                .accumulate_dx = odd,
                .accumulate_dparams = odd};
        bool running = t.lanes == 1; /* single images have kernels that keep nothing */
        if (running && getenv("CNND_TEST_SCALAR"))
                t.variant = OP_NAIVE;
        ops_check(&t, f->seed, t.precision == OP_TF32 ? 2e-3 : 1e-4);
        for (int k = 0; k < op->num_params; k++)
                running = running || !op->params[k].trainable;
        t.training = t.backward = t.accumulate_dx = t.accumulate_dparams = false;
        if (running)
                ops_check(&t, f->seed, 1e-4);
        if (!op->kind->epilogues)
                return 1 + running;
        struct trial_epilogue *x;
        struct err e = {0};
        CHECK_OK(trial_epilogue_create(
                         op, op->kind->epilogues & OP_TAKES_NORM, odd ? &op_relu : &op_tanh, f->seed, &x, &e),
                &e);
        t.epilogue = x; /* a batch norm magnifies what tf32 rounds, and tanh the largest least */
        ops_check(&t, f->seed, t.precision == OP_TF32 ? 1e-2 : 1e-4);
        trial_epilogue_destroy(x);
        return 2 + running;
}

static void every_kernel(void **state)
{
        int trials = 0;
        for (int k = 0; k < op_kinds_count; k++) {
                int index = 0;
                for (const struct op_example *x = op_kinds[k]->examples; x && x->n; x++, index++) {
                        struct op *op = ops_layer(op_kinds[k], x->args, x->in);
                        for (int i = 0; i < WAYS && is_wanted(op_kinds[k]->type); i++)
                                if (!is_left_out(i, op_kinds[k], index) && is_there(*state, op, i) &&
                                        is_of_this_half())
                                        trials += try_way(*state, op, i, index % 2);
                        op_destroy(op);
                }
        }
        assert_int_equal(ways[0].lanes, 1);
        for (int k = 0; k < op_kinds_count; k++)
                for (const struct op_example *x = op_kinds[k]->single_examples; x && x->n; x++) {
                        struct op *op = ops_layer(op_kinds[k], x->args, x->in);
                        if (is_wanted(op_kinds[k]->type) && is_of_this_half())
                                trials += try_way(*state, op, 0, false);
                        op_destroy(op);
                }
        printf("# %d trials\n", trials);
        assert_true(trials > 0 || is_wanted("loss"));
}

static void the_loss(void **state)
{
        struct ops_fixture *f = *state;
        for (int i = 0; i < WAYS && is_wanted("loss"); i++) {
                if (is_left_out(i, NULL, 0) || ways[i].variant > OP_TILED || !is_of_this_half())
                        continue;
                struct loss_trial t = {.dev = f->dev,
                        .n = samples_of(i, NULL),
                        .classes = 5,
                        .lanes = ways[i].lanes,
                        .variant = ways[i].variant,
                        .training = i % 2 == 0,
                        .slices = i < 2,
                        .accumulate = i >= 2};
                struct trial_result r;
                struct err e = {0};
                CHECK_OK(loss_trial_run(&t, f->seed, &r, &e), &e);
                if (!(r.error <= 1e-4))
                        fail_msg("loss lanes=%d variant=%d: %s[%lld] is %.9g, wanted %.9g", t.lanes,
                                (int)t.variant, r.what, (long long)r.index, r.got, r.want);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_kernel),
                cmocka_unit_test(the_loss),
        };
        return OPS_RUN(tests);
}
