/* Launches of kernels that treat every float of a block alike, whatever the shape: activations, joins,
   dropout.

   Without TILED the grid is (count or more, blocks), a work-item a float, `count` floats in a block of y,
   padding lanes included. With TILED (lanes 16 and 32) it is (vectors / PER_ITEM or more, blocks), a
   work-item PER_ITEM vectors; see kernels/common.cl. */
#ifndef CNND_ELEMENTWISE_H
#define CNND_ELEMENTWISE_H

#include "ops/op.h"

/* The kernel that the call's variant and lanes choose; both are string literals, `tiled` NULL where there is
 * none. */
struct launch elementwise_begin(const struct op_call *c, const char *naive, const char *tiled);
/* Floats in a block of y: what kernels call `count`. */
int elementwise_count(const struct op_call *c);
int elementwise_run(struct launch *l, const struct op_call *c, struct err *e);
/* A VECTORS_KERNEL of kernels/common.cl: a work-item PER_ITEM vectors of `count` floats. */
int elementwise_run_vectors(struct launch *l, int lanes, size_t count, size_t blocks, struct err *e);
/* An op's shape: y is like x[0]. */
int elementwise_shape(struct op *op, struct err *e);
/* An op's flops: one for each element of y. */
int64_t elementwise_flops(const struct op *op);

#endif
