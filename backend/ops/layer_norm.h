/* layer_norm's hyperparameters. */
#ifndef CNND_LAYER_NORM_H
#define CNND_LAYER_NORM_H

#include "ops/op.h"

struct layer_norm_args {
        struct op_dims normalized_shape; /* trailing dimensions: [W], [H,W] or [C,H,W]; [C] of (N,C) */
        double eps;
        bool elementwise_affine, bias; /* without the first there is neither weight nor bias */
};

/* Values that are normalised together; a sample has shape_count / this of such groups, one behind the other.
 */
int layer_norm_size(const struct layer_norm_args *a);

#endif
