/* Softmax with cross-entropy over the logits of a batch, fused with its gradient. One launch, fixed order.

   loss(n) = (log(sum_k exp(x(n,k))) - x(n, label(n))) * weights[label(n)]
   dlogits(n,k) = (softmax(x)(n,k) - [k == label(n)]) * weights[label(n)] * scale

   `results` holds two floats a slot: [2*slot] the sum of loss(n) over the batch, [2*slot+1] how many samples
   have their label at the largest logit (the first one of equals), a whole number. The slot is the word
   OP_VAR_SLOT of `vars`, so that a recorded launch serves every step. */
#ifndef CNND_LOSS_H
#define CNND_LOSS_H

#include "ops/op.h"

struct loss_call {
        struct dev *dev;
        enum op_variant variant;
        struct tensor logits;  /* (n,classes,1,1) */
        struct tensor dlogits; /* overwritten, zeros in the padding lanes; buf NULL for evaluation */
        struct view labels;    /* an int32 a sample, 0 <= label < classes, checked by whoever brings them: any
                                  other    counts as wrong and has no class to pull up */
        struct view weights;   /* (classes) floats; buf NULL: all one */
        struct view results, vars;
        float scale;
        bool scale_from_vars; /* the word OP_VAR_SCALE of `vars` instead: class weights and micro-batches
                                 change it */
        bool accumulate; /* add to the slot instead of overwriting it: second and later micro-batches of a
                            step */
};
int loss_launch(const struct loss_call *c, struct err *e);

/* The same in the variant that the device allows; c->variant is ignored. */
int loss_run(const struct loss_call *c, struct err *e);

#endif
