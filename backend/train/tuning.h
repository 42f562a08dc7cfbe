/* Binds a job's layers to the variants they run in, before anything is recorded. */
#ifndef CNND_TUNING_H
#define CNND_TUNING_H

#include "ops/strategy.h"
#include "train/setup.h"

/* *ret, owned by the caller, holds what job->tuning->bound says of the job's layers; for the others what the
   device's known strategies say, and what these lack is measured, for some seconds in all: layers for which
   no time is left take what strategy_prefer says. What is new is told by a `strategies` event, what was
   measured is added to job->tuning->measured. *ret is NULL where the job has no tuning. Leaves nothing on the
   device. */
int tuning_bind(struct dev *d, const struct setup *s, const struct train_job *job,
        const struct train_hooks *hooks, struct strategies **ret, struct err *e);

#endif
