/* A classify job: a model over the val split of a data set. The engine thread runs it. */
#ifndef CNND_EVALUATE_H
#define CNND_EVALUATE_H

#include "base/err.h"
#include "data/dataset.h"
#include "train/infer.h"
#include "train/train.h"

struct evaluate_job {
        const char *model_name; /* as it stands in the result */
        const struct dataset *data;
        int limit; /* images at most; 0: all */
        const char *result_path;
};

/* Classifies the images in batches, asking `between` before each, and writes the result (jobs_result's JSON)
   whole to result_path. Images of another size are fitted as image_fit does. */
int evaluate_run(struct infer *m, const struct evaluate_job *job, enum train_want (*between)(void *ctx),
        void *ctx, struct train_outcome *ret, struct err *e);

#endif
