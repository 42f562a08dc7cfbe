/* A training job's "class_weights": how much each class counts in the loss. */
#ifndef CNND_CLASS_WEIGHTS_H
#define CNND_CLASS_WEIGHTS_H

#include "base/err.h"

#include <cjson/cJSON.h>
#include <stdint.h>

enum class_weights_mode { CLASS_WEIGHTS_NONE, CLASS_WEIGHTS_BALANCED, CLASS_WEIGHTS_LIST };

struct class_weights {
        enum class_weights_mode mode;
        int count;
        float *values; /* owned; of a list */
};

/* "balanced" or a list of numbers of 0 to 1e6, not all zero; NULL for none. ERR_INVALID at /class_weights or
   its element. *ret is untouched on error, else freed by class_weights_finish. */
int class_weights_parse(const cJSON *json, struct class_weights *ret, struct err *e);
void class_weights_finish(struct class_weights *w);

/* (num_classes) weights as PyTorch's CrossEntropyLoss(weight=…) takes them; "balanced" is count /
   (num_classes * images of the class), scikit-learn's rule, of the images that `counts` has of each class,
   and 0 for a class without any. *ret is NULL where nothing was asked for, else the caller frees it.
   ERR_INVALID at /class_weights for a list of another length. */
int class_weights_make(
        const struct class_weights *w, const int64_t *counts, int num_classes, float **ret, struct err *e);

#endif
