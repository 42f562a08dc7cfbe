/* A job's state between two steps, on disk: dir/checkpoint.safetensors, and the one before it, a link to the
   file that was, as dir/checkpoint.before.safetensors: it costs its room on the disk, and no time.

   Tensors: the network's, by name, and the optimizer's, by theirs and PyTorch's name for what they are:
   "optimizer.exp_avg.net.0.weight". Of a job with save_best those of its best epoch, too,
   "best.net.0.weight", unless that has just ended and they are the network's: so what a checkpoint says of
   the best epoch and its weights are of one moment, whichever one a job goes on from. Metadata: "checkpoint"
   (CHECKPOINT_VERSION), "step", and the running sums as hexadecimal floats, so that a resumed curve is the
   undisturbed one to the last bit, "stopping" what early stopping has seen, "best" the best epoch's last step
   and its metrics, "sum" a checksum of all these. Everything else (order of images, random numbers, learning
   rate) follows from the request and the step. Raise CHECKPOINT_VERSION when a field is added or changes its
   meaning; a file of another version is refused and the job starts again. Those before "best" and before the
   sum are still read; without save_best that before "best" is still written, which older builds read. */
#ifndef CNND_CHECKPOINT_H
#define CNND_CHECKPOINT_H

#include "base/err.h"
#include "base/str.h"
#include "net/net.h"
#include "train/best.h"
#include "train/optimizer.h"
#include "train/stopping.h"

#include <stdbool.h>

enum { CHECKPOINT_VERSION = 4, CHECKPOINT_VERSION_WITHOUT_BEST = 3, CHECKPOINT_VERSION_WITHOUT_SUM = 2 };

/* Sums over samples since the last `train` event and since the epoch began. */
struct progress {
        int64_t step; /* optimizer steps done */
        struct {
                double loss;
                int64_t correct, count;
        } window, epoch;
        struct stopping stopping;
        struct best best;
};

/* The numbers of a job, all borrowed: what is written, or where to read to. `state` is the optimizer's as
   update.h lays it out, NULL where it has none; `best` the weights of progress.best, NULL where the job keeps
   its last ones. */
struct checkpoint {
        const struct net *net;
        const struct optimizer_spec *optimizer;
        float *block, *state, *best;
};

/* Where the disk is full the one before the last is given up. */
int checkpoint_write(const char *dir, const struct checkpoint *c, const struct progress *p, struct err *e);
/* The last one that is whole, of this network and of this optimizer; *ret_found is false where there is none,
   and block, state and best may then have been written to. What is wrong with those after it is added to
   `damage` in words for people, as is where the job goes on; nothing where all is well. Where none is whole
   and a disk could not read one (ERR_IO, ERR_UNAVAILABLE) that is no reason to begin again. */
int checkpoint_read(const char *dir, const struct checkpoint *c, struct progress *ret, bool *ret_found,
        struct str *damage, struct err *e);

#endif
