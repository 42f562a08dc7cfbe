/* conv2d of single images whose result has few pixels, forward on CPU devices (kernels/conv_few.cl). */
#ifndef CNND_CONV_FEW_H
#define CNND_CONV_FEW_H

#include "ops/op.h"

bool conv_few_fits(const struct op *op, const struct dev_info *info);
int conv_few_forward(const struct op *op, const struct op_call *call, struct err *e);
/* Workspace for n images. */
uint64_t conv_few_floats(const struct op *op, int n);

#endif
