/* What a job leaves behind: a model that can be served, and trained on. */
#ifndef CNND_RESULT_H
#define CNND_RESULT_H

#include "net/net.h"
#include "train/train.h"

/* Writes dir/model.safetensors of the job: the weights in `block` (net->param_floats), and as metadata what
   infer_create needs. Whole or not at all. */
int result_write(const struct train_job *job, const struct net *net, const float *block, struct err *e);
/* The bytes of that file, known before the job runs. */
int result_bytes(const struct train_request *r, const struct dataset *data, const struct net *net,
        uint64_t *ret, struct err *e);

#endif
