/* A job's state between two steps, on disk: dir/checkpoint.safetensors.

   Tensors: the network's, by name. Metadata: "checkpoint" (CHECKPOINT_VERSION), "step", and the running sums as
   hexadecimal floats, so that a resumed curve is the undisturbed one to the last bit. Everything else (order of
   images, random numbers, learning rate) follows from the request and the step. Raise CHECKPOINT_VERSION when a
   field is added or changes its meaning; a file of another version is refused and the job starts again. */
#ifndef CNND_CHECKPOINT_H
#define CNND_CHECKPOINT_H

#include "base/err.h"
#include "net/net.h"

#include <stdbool.h>

enum { CHECKPOINT_VERSION = 1 };

/* Sums over samples since the last `train` event and since the epoch began. */
struct progress {
        int64_t step; /* optimizer steps done */
        struct {
                double loss;
                int64_t correct, count;
        } window, epoch;
};

int checkpoint_write(const char *dir, const struct net *net, const float *block, const struct progress *p,
        struct err *e);
/* *ret_found is false where there is none. A file that is damaged or of another network is an error. */
int checkpoint_read(const char *dir, const struct net *net, float *block, struct progress *ret, bool *ret_found,
        struct err *e);

#endif
