/* The result of a classify job (jobs_result's JSON) as a file: written in pieces, so that a million images
   take no memory. */
#ifndef CNND_OUTCOME_H
#define CNND_OUTCOME_H

#include "base/err.h"
#include "data/dataset.h"
#include "data/origins.h"

#include <stdbool.h>

/* All borrowed. The images are the first `count` of the val split. */
struct outcome {
        const char *model; /* its name */
        const struct recipe *model_import;
        const struct dataset *data;
        const struct origins *origins; /* of the val split */
        bool by_name;                  /* the model's classes are the data set's, in whatever order */
        int count, classes;
        const int32_t *predictions;
        const float *probabilities;
        const int64_t *counts; /* (classes,classes): row is the label, column the prediction */
};

/* Whole or not at all. */
int outcome_write(const struct outcome *o, const char *path, struct err *e);

#endif
