/* A batch of images as training prepares it, on the device and by the reference. */
#ifndef CNND_TEST_BATCH_H
#define CNND_TEST_BATCH_H

#include "trainer.h"

#include "train/transform.h"

/* A batch of `n` images of `s` from images of another size, beginning at `position`. */
struct batch {
        const char *steps, *normalize; /* JSON; NULL for none */
        struct shape s;
        int source_h, source_w, n, lanes, position, room; /* room 0: n */
        uint32_t epoch;
        bool bytes;
        double level; /* of the images; 0: a pattern */
};

/* The steps and the normalisation of `b`; normalize_finish is the caller's. */
void batch_parse(const struct batch *b, struct augment *augment, struct normalize *normalize);
/* What the device makes of it, (n,c,h,w); canaries and padding are checked on the way. The caller frees it.
 */
float *batch_on_device(struct trainer *t, const struct batch *b);
/* What it should be. The caller frees it. */
double *batch_by_reference(const struct batch *b);

#endif
