/* The loss once on a device, against its reference: see trial.h. */
#ifndef CNND_LOSS_TRIAL_H
#define CNND_LOSS_TRIAL_H

#include "ops/trial.h"

struct loss_trial {
        struct dev *dev; /* borrowed */
        int n, classes, lanes;
        enum op_variant variant;
        bool training; /* with gradient */
        bool slices, accumulate;
        bool weighted; /* with class weights, and the scale taken from vars */
        bool lie;      /* as in struct trial */
};

/* Random logits and labels from `seed`. 0 however far device and reference are apart; ret->what is "loss",
   "correct" or "dlogits". */
int loss_trial_run(const struct loss_trial *t, uint64_t seed, struct trial_result *ret, struct err *e);

#endif
