/* The numbers a job starts from: weights and the optimizer's state. */
#ifndef CNND_START_H
#define CNND_START_H

#include "base/str.h"
#include "train/checkpoint.h"
#include "train/train.h"

/* Fills c's block and state and *ret: from the job's checkpoint, or else as its request's `init` wants it.
   What people should know is added in words: to `damage`, of a checkpoint that is no good; to `note`, of the
   request's `init`. */
int start_numbers(const struct train_job *job, const struct checkpoint *c, struct progress *ret,
        struct str *damage, struct str *note, struct err *e);

#endif
