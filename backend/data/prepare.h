/* One decoded frame to what a data set stores: values, then size. */
#ifndef CNND_PREPARE_H
#define CNND_PREPARE_H

#include "data/image.h"
#include "data/import.h"

/* Whether every value is k/255: what an 8-bit file decodes to. */
bool prepare_is_bytes(const float *values, size_t count);
/* In place: clipped to the values of rank 0.5% and 99.5% (nearest rank) and stretched to 0..1; all 0 where
   these are one. Finite values. */
int prepare_stretch(float *values, size_t count, struct err *e);
/* Frame `frame` of `from` as an image of its own, the part of h x w at (y, x). */
int prepare_cut(
        const struct image *from, int frame, int y, int x, int h, int w, struct image *ret, struct err *e);

#endif
