/* Binding an op_epilogue (op.h) to a kernel that has the arguments EPILOGUE of kernels/common.cl. */
#ifndef CNND_EPILOGUE_H
#define CNND_EPILOGUE_H

#include "ops/op.h"

static inline bool has_epilogue(const struct op_call *c)
{
        return c->epilogue.norm || c->epilogue.activation != OP_NO_ACTIVATION;
}

/* That of the call's forward; of any other call it is empty. */
void launch_epilogue(struct launch *l, const struct op_call *c);

#endif
