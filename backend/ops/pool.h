/* Hyperparameters of max_pool2d and avg_pool2d, and of adaptive_avg_pool2d. */
#ifndef CNND_POOL_H
#define CNND_POOL_H

#include <stdbool.h>

struct pool_args {
        int kernel_size[2];
        int stride[2]; /* 0: as kernel_size; filled in by shape */
        int padding[2];
        bool ceil_mode;         /* a window may begin within the padded input and reach beyond it */
        bool count_include_pad; /* avg_pool2d: zeros of the padding count in the mean */
};

/* Window o of `output_size` covers the input's floor(o*in/out) to ceil((o+1)*in/out) - 1. */
struct adaptive_pool_args {
        int output_size[2];
};

#endif
