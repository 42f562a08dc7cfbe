/* conv2d of single images on CPU devices, forward (kernels/conv_single.cl): tensors of one lane. */
#ifndef CNND_CONV_SINGLE_H
#define CNND_CONV_SINGLE_H

#include "ops/op.h"

/* False on other devices, and for layers whose strides and paddings are out of all proportion to their image.
 */
bool conv_single_fits(const struct op *op, const struct dev_info *info);
int conv_single_forward(const struct op *op, const struct op_call *call, struct err *e);
/* Workspace for n images. */
uint64_t conv_single_floats(const struct op *op, int n, const struct dev_info *info);

#endif
