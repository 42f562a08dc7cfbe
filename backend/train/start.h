/* How a job starts: on a device that was tested, and from which weights and optimizer's state. */
#ifndef CNND_START_H
#define CNND_START_H

#include "base/str.h"
#include "train/checkpoint.h"
#include "train/setup.h"
#include "train/train.h"

/* Selftests that are still due, before the job's own memory is taken. */
int start_test(struct dev *d, const struct setup *s, const struct train_job *job, struct err *e);
/* Fills c's block and state and *ret: from the job's checkpoint, or else as its request's `init` wants it.
   What people should know is added in words: to `damage`, of a checkpoint that is no good; to `note`, of the
   request's `init`. */
int start_numbers(const struct train_job *job, const struct checkpoint *c, struct progress *ret,
        struct str *damage, struct str *note, struct err *e);

#endif
