/* Whether a job can start from the model that its `init` names, told by the head of that model's file: before
   the job runs. The run itself looks again (start.h). */
#ifndef CNND_INITFIT_H
#define CNND_INITFIT_H

#include "base/err.h"
#include "data/dataset.h"
#include "model/safetensors.h"
#include "train/request.h"

/* `model` is safetensors_head's. ERR_INVALID at /init/from: with `strict` the first tensor that does not fit,
   its shape there and here, and how many more; without, where none fits, or one is no float. ERR_INVALID at
   /init/freeze where a frozen layer would have to begin afresh, and what setup_net says of the network. Needs
   no driver: the front calls it. */
int initfit_check(const struct train_request *r, const struct dataset *data, const struct safetensors *model,
        struct err *e);

#endif
