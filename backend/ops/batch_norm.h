/* batch_norm's hyperparameters. */
#ifndef CNND_BATCH_NORM_H
#define CNND_BATCH_NORM_H

#include <stdbool.h>

/* What is done with the batch's statistics; running ones are kept alike. */
enum batch_norm_mode {
        BATCH_NORM_FULL,
        BATCH_NORM_MEAN_ONLY,     /* the mean is subtracted */
        BATCH_NORM_VARIANCE_ONLY, /* values are divided by the deviation (from their mean, which stays) */
};

struct batch_norm_args {
        double eps, momentum;
        bool affine;   /* false: neither weight nor bias */
        int normalize; /* enum batch_norm_mode */
};

/* Indices of op->params where `affine`; else the first two are missing. */
enum {
        BATCH_NORM_WEIGHT,
        BATCH_NORM_BIAS,
        BATCH_NORM_MEAN,
        BATCH_NORM_VAR,
        BATCH_NORM_BATCHES,
        BATCH_NORM_PARAMS
};

#endif
