/* linear's hyperparameters. x (N,C), y (N,K), w (K,C). */
#ifndef CNND_LINEAR_H
#define CNND_LINEAR_H

#include "ops/op.h"

struct linear_args {
        int out_features;
        bool bias;
};

#endif
