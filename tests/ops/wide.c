/* More channels than NVIDIA's devices take work-groups in the second dimension of a grid, on a device that
   takes no more either (tests/card.c), by the kernels for GPUs. */
#include "ops.h"
#include "ops/batch_norm.h"
#include "ops/kinds.h"
#include "ops/linear.h"
#include "ops/pool.h"

enum { WIDE = 70001, N = 33 };

static void check(struct ops_fixture *f, const struct op_kind *kind, const void *args, struct shape in,
        double tolerance)
{
        struct op *op = ops_layer(kind, args, in);
        for (int single = 0; single < 2; single++) {
                const struct trial t = {.dev = f->dev,
                        .op = op,
                        .n = single ? 2 : N,
                        .lanes = single ? 1 : 32,
                        .variant = single ? OP_NAIVE : OP_TILED,
                        .training = true,
                        .backward = true};
                ops_check(&t, f->seed, tolerance);
        }
        op_destroy(op);
}

static void pooling(void **state)
{
        const struct pool_args args = {{2, 2}, {2, 2}, {0, 0}, false, true};
        const struct adaptive_pool_args one = {{1, 1}};
        check(*state, &op_max_pool2d, &args, (struct shape){WIDE, 2, 2}, 1e-6);
        check(*state, &op_avg_pool2d, &args, (struct shape){WIDE, 2, 2}, 1e-6);
        check(*state, &op_adaptive_avg_pool2d, &one, (struct shape){WIDE, 2, 2}, 1e-6);
}

static void batch_norm(void **state)
{
        const struct batch_norm_args args = {.eps = 1e-5, .momentum = 0.1, .affine = true};
        check(*state, &op_batch_norm, &args, (struct shape){WIDE, 1, 1}, 1e-4);
}

static void products(void **state)
{
        const struct linear_args args = {.out_features = WIDE, .bias = true};
        const struct linear_args few = {.out_features = 3, .bias = true};
        check(*state, &op_linear, &args, (struct shape){3, 1, 1}, 1e-4);
        check(*state, &op_linear, &few, (struct shape){WIDE, 1, 1}, 1e-4);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(pooling), cmocka_unit_test(batch_norm), cmocka_unit_test(products)};
        return OPS_RUN(tests);
}
