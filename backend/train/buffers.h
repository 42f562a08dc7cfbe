/* What a training job holds on its device for the network and its steps. Images are the feeders', the
   optimizer's state the update's. */
#ifndef CNND_BUFFERS_H
#define CNND_BUFFERS_H

#include "net/exec.h"
#include "train/setup.h"

struct buffers { /* owned */
        struct buf *chunks[PLAN_MAX_CHUNKS], *params, *grads, *labels, *results, *vars, *class_weights;
};

/* As large as `s` says. After an error too buffers_finish is due. */
int buffers_init(struct dev *d, const struct setup *s, struct buffers *ret, struct err *e);
void buffers_finish(struct buffers *b);
/* Where executions find them; strategies, precision and modes are the caller's to set. */
struct exec_memory buffers_memory(const struct buffers *b);

#endif
