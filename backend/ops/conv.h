/* conv2d: hyperparameters, and the strategies for CPU devices. x (N,C,H,W), y (N,K,OH,OW), w
 * (K,C/groups,R,S). */
#ifndef CNND_CONV_H
#define CNND_CONV_H

#include "ops/op.h"

struct conv_args {
        int out_channels;
        int kernel_size[2], stride[2], padding[2], dilation[2]; /* height, width; op_create makes numbers of
                                                                   OP_SAME, and 1 of a dilation of one tap */
        int groups;
        bool bias;
};

enum { CONV_LANES = 16 }; /* the blocks that the tiled strategies take */

/* Rows (0) or columns (1) from the first tap to the last. */
static inline int conv_reach(const struct conv_args *a, int axis)
{
        return (a->kernel_size[axis] - 1) * a->dilation[axis];
}
static inline bool conv_is_dilated(const struct conv_args *a)
{
        return a->dilation[0] > 1 || a->dilation[1] > 1;
}
/* Rows (0) or columns (1) of zeros behind the image: as many as before it, but for "same" and an odd reach
   one more. Kernels are told by the size of the output alone. */
int conv_padding_end(const struct op *op, int axis);
/* Binds what the kernels call CONV_GEOMETRY. */
void conv_geometry(struct launch *l, const struct op *op);

/* Output channels whose sums stay in registers: the tile that costs least over all `outs`. A step of it takes
   a multiply-add per register of sums, at least the 8 that the multipliers need to have in flight, and about
   4/3 for the rest. Two thirds of 16 registers hold sums where a vector is 4 or 8 wide, 14 of 32 where it
   is 16. */
int conv_tile(int outs, const struct dev_info *info);

/* kernels/conv_tiled.cl: false where its windows do not fit the device's local memory. */
bool conv_tiled_fits(const struct op *op, const struct dev_info *info);
int conv_tiled_forward(const struct op *op, const struct op_call *call, struct err *e);
int conv_tiled_data(const struct op *op, const struct op_call *call, struct err *e);
/* Workspace. */
uint64_t conv_tiled_forward_floats(const struct op *op, const struct dev_info *info);
uint64_t conv_tiled_data_floats(const struct op *op, const struct dev_info *info);

/* kernels/conv_winograd.cl: stride and dilation 1, kernels of 3x3 and 5x5. One tile of output channels serves
   all layers of a device, so that few programs are compiled: 16 of 32 registers, or 12 of 16. */
static inline int conv_winograd_tile(const struct dev_info *info)
{
        return info->native_width >= 16 ? 16 : info->native_width == 8 ? 6 : 3;
}
/* `patch` concerns the gradient of the weights, and is CONV_WINOGRAD_PATCH where local memory allows it:
   whoever does not use it gives that too, for the program is then the same. */
enum { CONV_WINOGRAD_PATCH = 4 };
const char *conv_winograd_options(char *out, const struct dev_info *info, int taps, int patch);
bool conv_winograd_fits(const struct op *op, const struct dev_info *info);
int conv_winograd_forward(const struct op *op, const struct op_call *call, struct err *e);
int conv_winograd_data(const struct op *op, const struct op_call *call, struct err *e);
/* Of the forward pass, or of the gradient of the input: floats of workspace; products of vectors that one
   core forms in the time it takes. */
uint64_t conv_winograd_floats(const struct op *op, bool data, const struct dev_info *info);
double conv_winograd_cost(const struct op *op, bool data, int blocks, const struct dev_info *info);

bool conv_winograd_weights_fits(const struct op *op, const struct dev_info *info);
int conv_winograd_weights(const struct op *op, const struct op_call *call, struct err *e);
uint64_t conv_winograd_weights_floats(const struct op *op, int blocks, const struct dev_info *info);
double conv_winograd_weights_cost(const struct op *op, int blocks, const struct dev_info *info);

/* kernels/conv_winograd_local.cl: the same kernels where tensors have 32 lanes. The products are those of
   conv_local.h. */
bool conv_winograd_local_fits(const struct op *op, const struct dev_info *info);
int conv_winograd_local_forward(const struct op *op, const struct op_call *call, struct err *e);
int conv_winograd_local_data(const struct op *op, const struct op_call *call, struct err *e);
/* The gradient of the bias too. */
int conv_winograd_local_weights(const struct op *op, const struct op_call *call, struct err *e);
/* Workspace of one of them. */
uint64_t conv_winograd_local_floats(
        const struct op *op, enum op_direction direction, int n, const struct dev_info *info);

/* Products by CLBlast: 1x1 kernels alone, without stride, padding or groups, in floats. One number of floats
   of workspace for all three. The gradient of the bias is the caller's. */
bool conv_clblast_fits(const struct op *op, int lanes, const struct dev_info *info);
uint64_t conv_clblast_floats(const struct op *op, int lanes, const struct dev_info *info);
int conv_clblast_forward(const struct op *op, const struct op_call *call, struct err *e);
int conv_clblast_data(const struct op *op, const struct op_call *call, struct err *e);
int conv_clblast_weights(const struct op *op, const struct op_call *call, struct err *e);

/* kernels/conv_weights.cl: gradients of weights and, where wanted, bias. */
bool conv_weights_fits(const struct op *op, const struct dev_info *info);
int conv_weights_run(const struct op *op, const struct op_call *call, struct err *e);
uint64_t conv_weights_floats(const struct op *op, int blocks, const struct dev_info *info);

#endif
