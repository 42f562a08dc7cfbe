/* Copies between tensors of one shape. */
#ifndef CNND_JOIN_H
#define CNND_JOIN_H

#include "ops/op.h"

/* `to` = from, or += from. In the call's variant; both have y's shape. */
int join_copy(const struct op_call *c, const struct tensor *from, const struct tensor *to, bool accumulate,
        struct err *e);

#endif
