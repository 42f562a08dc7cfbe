/* Augmentation and normalisation on the host in double: one image at a time, one step at a time where steps
 * allow it. */
#ifndef CNND_TRANSFORM_REF_H
#define CNND_TRANSFORM_REF_H

#include "train/augment.h"
#include "train/normalize.h"

struct transform_ref {
        const struct augment *augment;
        const struct normalize *normalize;
        int source_h, source_w;
        struct shape s;
        uint64_t seed;
        uint32_t epoch;
};

/* The image at `position` of its epoch: `source` (s.c,source_h,source_w) to `out` (s.c,s.h,s.w), overwritten.
 */
int transform_ref(
        const struct transform_ref *r, int position, const double *source, double *out, struct err *e);
#endif
