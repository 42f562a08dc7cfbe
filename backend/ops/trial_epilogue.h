/* What follows an op in a trial and is done by the op's own forward: layers, their numbers, and their
   references one after the other. */
#ifndef CNND_TRIAL_EPILOGUE_H
#define CNND_TRIAL_EPILOGUE_H

#include "ops/op.h"

struct trial_epilogue {
        struct op *norm, *activation; /* owned; NULL: none */
        float *params[OP_MAX_PARAMS]; /* owned; of norm */
};

/* A batch norm where `norm`, with parameters from `seed`, and an activation of this kind (NULL: none), behind
   `op`. Free with trial_epilogue_destroy. */
int trial_epilogue_create(const struct op *op, bool norm, const struct op_kind *activation, uint64_t seed,
        struct trial_epilogue **ret, struct err *e);
void trial_epilogue_destroy(struct trial_epilogue *x);
/* On y (n,c,h,w), in its place. ERR_NO_MEMORY. */
int trial_epilogue_reference(const struct trial_epilogue *x, int n, double *y, struct err *e);

#endif
