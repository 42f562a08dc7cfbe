/* The one list of ops. Adding one: ops/NAME.c, ref/NAME.c, kernels/NAME.cl, tests/ops/NAME.c and a line here.
 */
#include "ops/kinds.h"

const struct op_kind *const op_kinds[] = {
        &op_conv2d,
        &op_linear,
        &op_adaptive_avg_pool2d,
        &op_add,
        &op_avg_pool2d,
        &op_batch_norm,
        &op_copy,
        &op_dropout,
        &op_flatten,
        &op_gelu,
        &op_layer_norm,
        &op_leaky_relu,
        &op_max_pool2d,
        &op_relu,
        &op_relu6,
        &op_sigmoid,
        &op_silu,
        &op_tanh,
};
const int op_kinds_count = sizeof op_kinds / sizeof op_kinds[0];
