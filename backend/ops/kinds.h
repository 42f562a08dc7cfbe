/* Every op_kind by name. */
#ifndef CNND_KINDS_H
#define CNND_KINDS_H

#include "ops/op.h"

extern const struct op_kind op_conv2d, op_linear, op_adaptive_avg_pool2d;
extern const struct op_kind op_avg_pool2d, op_batch_norm, op_flatten, op_max_pool2d, op_relu, op_sigmoid,
        op_tanh;
extern const struct op_kind op_add, op_copy, op_dropout, op_gelu, op_layer_norm, op_leaky_relu, op_relu6,
        op_silu;

#endif
