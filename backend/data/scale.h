/* Images rescaled to one pixel size. */
#ifndef CNND_SCALE_H
#define CNND_SCALE_H

#include "data/image.h"

/* Resamples every plane to h x w, each axis by itself: where pixels become fewer each is the mean of the area
   that it covers, where they become more they are interpolated (half-pixel centres, linear). The size of a
   pixel follows. In place of *im; ERR_TOO_LARGE past the bounds of image.h, *im is untouched then. */
int scale_resample(struct image *im, int h, int w, struct err *e);

/* To pixels of `nm` nanometres a side, as nearly as whole pixels allow, at least one. ERR_INVALID where the
   picture tells no size of its pixels, or one in reciprocal space. */
int scale_to_pixel(struct image *im, double nm, struct err *e);

#endif
