/* The last step before a network: (x - mean) / deviation, the same in training, validation and serving. It
   stands in the data set's reference of a job and in the preprocessing of a saved model:

       "normalize": {"mean":[0.2860],"std":[0.3530]}      "normalize": "per_image"

   mean and std hold one number, or one for each channel, in units of the scaled pixels (8-bit data is 0..1).
   "per_image" takes the mean and the population deviation of each image over all its pixels and channels, the
   deviation being at least NORMALIZE_LEAST: an image of one value becomes zeros. */
#ifndef CNND_NORMALIZE_H
#define CNND_NORMALIZE_H

#include "base/err.h"

#include <cjson/cJSON.h>

#define NORMALIZE_LEAST 1e-6f
enum { NORMALIZE_MAX_CHANNELS = 4096 }; /* numbers in a list */

enum normalize_mode { NORMALIZE_NONE, NORMALIZE_CHANNELS, NORMALIZE_IMAGE };

struct normalize {
        enum normalize_mode mode;
        int count;          /* of numbers in each list */
        double *mean, *std; /* owned */
};

/* `json` NULL or null: none. `at` is its own pointer. *ret is untouched on error, else freed by
 * normalize_finish. */
int normalize_parse(const cJSON *json, const char *at, struct normalize *ret, struct err *e);
void normalize_finish(struct normalize *z);
/* Lists of another length than the images have channels: ERR_INVALID. */
int normalize_check(const struct normalize *z, int channels, const char *at, struct err *e);

#endif
