/* Fitting a job into a device's memory, on paper. */
#ifndef CNND_ESTIMATE_H
#define CNND_ESTIMATE_H

#include "train/setup.h"

/* The setup with the micro-batch that the job will run with: the request's own; else the whole batch where
   that fits; else a smaller one, if possible one that divides the batch and fills the device's lanes.
   ERR_DEVICE_MEMORY with the numbers when that does not fit, or not even one image. train_plan and train_run
   both ask here, so they agree. */
int estimate_setup(const struct train_request *r, const struct dataset *data, const struct dev_info *info,
        struct setup **ret, struct err *e);

#endif
