/* A classify job: a model over the val split of a data set. The engine thread runs it. */
#ifndef CNND_EVALUATE_H
#define CNND_EVALUATE_H

#include "base/err.h"
#include "daemon/worker/loaded.h"
#include "device/dev.h"
#include "ops/strategy.h"
#include "train/train.h"

#include <cjson/cJSON.h>

/* Carries out the front's command (worker.h): classifies the images in batches, asking `between` before each,
   and writes the result (jobs_result's JSON) whole to the job's folder. Images of another size are fitted as
   image_fit does. Where the device's memory is out, the models in `l` go. */
int evaluate_run(struct dev *d, const struct strategies *known, struct loaded *l, const cJSON *head,
        enum train_want (*between)(void *ctx), void *ctx, struct train_outcome *ret, struct err *e);

#endif
