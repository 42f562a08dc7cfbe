/* batch_norm's hyperparameters. */
#ifndef CNND_BATCH_NORM_H
#define CNND_BATCH_NORM_H

struct batch_norm_args {
        double eps, momentum;
};

/* Indices of op->params. */
enum { BATCH_NORM_WEIGHT, BATCH_NORM_BIAS, BATCH_NORM_MEAN, BATCH_NORM_VAR, BATCH_NORM_BATCHES, BATCH_NORM_PARAMS };

#endif
