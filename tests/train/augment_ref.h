/* Augmentation and normalisation on the host in double: one image at a time, one step at a time where steps
 * allow it. */
#ifndef CNND_AUGMENT_REF_H
#define CNND_AUGMENT_REF_H

#include "train/augment.h"
#include "train/gather.h"
#include "train/normalize.h"

struct augment_ref {
        const struct augment *augment;
        const struct normalize *normalize;
        int source_h, source_w;
        struct shape s;
        uint64_t seed;
        uint32_t epoch;
};

/* The image at `position` of its epoch: `source` (s.c,source_h,source_w) to `out` (s.c,s.h,s.w). */
void augment_ref(const struct augment_ref *r, int position, const double *source, double *out);
/* The device's rule for a Poisson number, with the mathematics in double. */
double augment_ref_poisson(double mean, double uniform, double normal);

#endif
