/* A plan bound to a device: every launch of a step recorded once, replayed every step. */
#ifndef CNND_EXEC_H
#define CNND_EXEC_H

#include "base/err.h"
#include "net/net.h"
#include "net/plan.h"
#include "ops/strategy.h"

/* Memory that executions of one network share; all borrowed. Views may have no buffer where the mode needs
 * none. */
struct exec_memory {
        struct buf *chunks[PLAN_MAX_CHUNKS]; /* at least as large as the plan's */
        struct view params, grads;           /* flat blocks, net->param_floats and net->trainable_floats */
        struct view vars;                    /* OP_VARS words */
        struct view labels;                  /* ints, one a sample of the batch */
        struct view results;                 /* loss.h: two floats a slot */
        struct view class_weights;           /* of the loss; no buffer: all one */
        const struct strategies *strategies; /* NULL, or without a layer: what strategy_prefer says */
        bool scale_from_vars;                /* the loss's scale is the word OP_VAR_SCALE */
        enum op_precision precision;         /* of its products */
        bool accumulate;                     /* adds to gradients and results: a step's later micro-batches */
};

struct exec;
/* `scale` is what the loss's gradient is multiplied with: 1 / batch size. Plan and network are borrowed and
   must outlive it. Compiles the kernels that are not there yet. */
int exec_create(struct dev *d, const struct net *net, const struct plan *plan,
        const struct exec_memory *memory, float scale, struct exec **ret, struct err *e);
void exec_destroy(struct exec *x);
/* Enqueues the whole: forward, and by the plan's mode loss and backward. */
int exec_run(struct exec *x, struct err *e);
/* Enqueues the forward pass of a PLAN_INFER up to and including `node`, and tells where `value`, its result
   or what that is joined to, then lies: later nodes would have used the memory again. */
int exec_run_to(struct exec *x, int node, int value, struct tensor *ret, struct err *e);
/* Where the batch goes in and the logits come out. */
struct tensor exec_input(const struct exec *x);
struct tensor exec_logits(const struct exec *x);
/* The recorded launches, for profiles; the owner of a launch is 2*node for forward, 2*node+1 for backward,
   and 2*num_nodes for the loss. */
struct launch_list *exec_launches(struct exec *x);

#endif
