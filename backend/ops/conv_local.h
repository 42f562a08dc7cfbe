/* conv2d on devices whose tensors have 32 lanes, kernels/conv_local.cl. linear calls it too, as the
   convolution of one pixel that it is. */
#ifndef CNND_CONV_LOCAL_H
#define CNND_CONV_LOCAL_H

#include "ops/op.h"

enum { CONV_LOCAL_LANES = 32 };

/* False where work-groups or local memory of the device are too small. */
bool conv_local_fits(const struct dev_info *info);
/* False where the stride has too many phases. */
bool conv_local_data_fits(const struct op *conv);

int conv_local_forward(const struct op *conv, const struct op_call *call, struct err *e);
int conv_local_data(const struct op *conv, const struct op_call *call, struct err *e);
/* Gradients of weights and, where wanted, bias. */
int conv_local_weights(const struct op *conv, const struct op_call *call, struct err *e);
/* The second alone, in the workspace that conv_local_needs tells. */
int conv_local_bias(const struct op *conv, const struct op_call *call, struct err *e);
/* Workspace of the first, of the third, of all, for batches of n. */
uint64_t conv_local_forward_floats(const struct op *conv, int n, const struct dev_info *info);
uint64_t conv_local_weights_floats(const struct op *conv, int n, const struct dev_info *info);
void conv_local_needs(const struct op *conv, int n, const struct dev_info *info, struct op_needs *ret);

#endif
