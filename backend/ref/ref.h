/* References: every op on the host in double, written from the formula, slow and plain. The selftest and the
   tests hold the kernels against them; the references themselves are held against finite differences.

   Arrays are NCHW, contiguous. */
#ifndef CNND_REF_H
#define CNND_REF_H

#include "ops/op.h"

struct ref_call {
        int n;
        bool training;
        const int32_t *vars; /* OP_VARS words */
        int layer;
        const double *x[OP_MAX_INPUTS];
        double *y;
        const double *dy;
        double *dx[OP_MAX_INPUTS];     /* overwritten */
        double *params[OP_MAX_PARAMS]; /* buffers such as running statistics are updated by a training forward
                                        */
        double *dparams[OP_MAX_PARAMS]; /* overwritten; NULL for those without gradient */
};

struct ref_op {
        void (*forward)(const struct op *op, const struct ref_call *c);
        /* Reads x, params and dy (y is not needed: a reference computes again what it wants). */
        void (*backward)(const struct op *op, const struct ref_call *c);
};

extern const struct ref_op ref_conv2d, ref_linear;
extern const struct ref_op ref_adaptive_avg_pool2d, ref_avg_pool2d, ref_max_pool2d;
extern const struct ref_op ref_add, ref_copy, ref_dropout, ref_layer_norm;
extern const struct ref_op ref_batch_norm, ref_gelu, ref_leaky_relu, ref_relu, ref_relu6, ref_sigmoid,
        ref_silu, ref_tanh;

/* Softmax with cross-entropy of logits x (n,classes); see ops/loss.h. `weights` (classes), NULL for
   ones; `dx` (n,classes) overwritten. */
void ref_loss(int n, int classes, const double *x, const int *labels, const double *weights, double scale,
        double *dx, double *ret_loss, int *ret_correct);

#endif
