/* What is known of a device's speed: shipped strategies, and over them those measured here, in
   tuning/PLATFORM-NAME.tune of the state folder, which devices that are alike share:

       # cnnd tuning 1
       # NAME | DRIVER | PLATFORM VERSION
       conv2d 64x24x24 … batch>16: winograd winograd tiled

   A file of another driver or version counts as absent. Raise STRATEGY_VERSION (ops/strategy.h) when
   names or meanings change. */
#ifndef CNND_TUNED_H
#define CNND_TUNED_H

#include "device/dev.h"
#include "ops/strategy.h"
#include "train/train.h"

/* Shipped and measured ones. A file that cannot be read costs its measurements and a warning, nothing else.
 *ret is the caller's. */
int tuned_load(const char *state_dir, const struct dev_info *info, struct strategies **ret, struct err *e);
/* Adds `more` to the file: the new one is whole, or the old one stands. */
int tuned_add(
        const char *state_dir, const struct dev_info *info, const struct strategies *more, struct err *e);

/* train_run for a job that is bound to the strategies of `bound` already (NULL for none), on a device with
   the `known` ones. What its start measures goes to `known` and to the file; a disk that does not take it
   costs a measurement at the next start. */
int tuned_train(const char *state_dir, struct dev *d, struct strategies *known, struct train_job *job,
        const cJSON *bound, const struct train_hooks *hooks, struct train_outcome *ret, struct err *e);

#endif
