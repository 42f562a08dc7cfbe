#include "ops/kinds.h"

#include <limits.h>

/* (C,H,W) to (C*H*W,1,1): in a blocked tensor that is the same memory (tensor.h). */
static int flatten_shape(struct op *op, struct err *e)
{
        const int64_t count = shape_count(op->in[0]);
        if (count > INT_MAX / TENSOR_MAX_LANES)
                return err_set(
                        e, ERR_TOO_LARGE, "%lld features are more than a layer may have", (long long)count);
        op->out = (struct shape){(int)count, 1, 1};
        return 0;
}

static const struct op_field no_fields[] = {{0}};

const struct op_kind op_flatten = {
        .type = "flatten",
        .doc = "all channels and pixels of a sample as one row of features",
        .fields = no_fields,
        .num_inputs = 1,
        .in_place = true,
        .view = true,
        .shape = flatten_shape,
};
