/* conv2d: hyperparameters, and the strategies for CPU devices. x (N,C,H,W), y (N,K,OH,OW), w
 * (K,C/groups,R,S). */
#ifndef CNND_CONV_H
#define CNND_CONV_H

#include "ops/op.h"

struct conv_args {
        int out_channels;
        int kernel_size[2], stride[2], padding[2]; /* height, width */
        int groups;
        bool bias;
};

enum { CONV_LANES = 16 }; /* the blocks that the tiled strategies take */

/* Binds what the kernels call GEOMETRY. */
void conv_geometry(struct launch *l, const struct op *op);

/* kernels/conv_tiled.cl: false where its windows do not fit the device's local memory. */
bool conv_tiled_fits(const struct op *op, const struct dev_info *info);
int conv_tiled_forward(const struct op *op, const struct op_call *call, struct err *e);
int conv_tiled_data(const struct op *op, const struct op_call *call, struct err *e);
/* Workspace. */
uint64_t conv_tiled_forward_floats(const struct op *op, const struct dev_info *info);
uint64_t conv_tiled_data_floats(const struct op *op, const struct dev_info *info);

/* kernels/conv_weights.cl: gradients of weights and, where wanted, bias. */
bool conv_weights_fits(const struct op *op, const struct dev_info *info);
int conv_weights_run(const struct op *op, const struct op_call *call, struct err *e);
uint64_t conv_weights_floats(const struct op *op, int blocks, const struct dev_info *info);

#endif
