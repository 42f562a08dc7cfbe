/* max_pool2d's and avg_pool2d's hyperparameters. */
#ifndef CNND_POOL_H
#define CNND_POOL_H

#include <stdbool.h>

struct pool_args {
        int kernel_size[2];
        int stride[2]; /* 0: as kernel_size; filled in by shape */
        int padding[2];
        bool count_include_pad; /* avg_pool2d: zeros of the padding count in the mean */
};

#endif
