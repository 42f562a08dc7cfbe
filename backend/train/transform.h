/* Augmentation and normalisation on the device: what happens to a batch between the data set and the network.

   The steps of augment.h run in their order, then normalize.h. Neighbouring geometric steps become one
   resampling by the inverse map, the first run of them within the gathering itself; neighbouring pointwise
   steps become one pass; contrast and "per_image" begin a pass after a reduction in a fixed order; a blur is
   two passes over a scratch tensor. Kernels: gather.cl, augment.cl. */
#ifndef CNND_TRANSFORM_H
#define CNND_TRANSFORM_H

#include "train/augment.h"
#include "train/gather.h"
#include "train/normalize.h"

struct transform_spec {
        const struct augment *augment;     /* borrowed; NULL for none */
        const struct normalize *normalize; /* borrowed; NULL for none */
        struct shape s;                    /* of the network's input */
        int n, lanes;                      /* of the largest batch */
};

/* Buffers it takes, in bytes; 0 for one it does not need. */
struct transform_bytes {
        uint64_t numbers, scratch;
};
struct transform_bytes transform_bytes(const struct transform_spec *spec);

struct transform;
/* Allocates exactly these bytes. The spec and what it points to are not needed after. */
int transform_create(struct dev *d, const struct transform_spec *spec, struct transform **ret, struct err *e);
void transform_destroy(struct transform *t);

/* Enqueues the gathering of a batch and all that follows; x as gather_run's, at most spec->n samples. `t`
 * NULL: gathers only. */
int transform_run(struct transform *t, const struct gather *g, const struct gather_draw *draw,
        const struct tensor *x, const struct view *labels, struct dev *d, struct err *e);

#endif
