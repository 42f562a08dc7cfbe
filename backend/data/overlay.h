/* A class map as a picture: the image in grey under the colours of its classes, with a legend and a scale
 * bar. */
#ifndef CNND_OVERLAY_H
#define CNND_OVERLAY_H

#include "base/err.h"
#include "base/str.h"

/* Longer side of the image in the picture at most; smaller images are magnified by a whole number up to
   OVERLAY_SMALL. OVERLAY_NARROW: the legend's least width. */
enum { OVERLAY_SIDE = 1600, OVERLAY_SMALL = 640, OVERLAY_NARROW = 360 };

/* All borrowed. */
struct overlay {
        const float *pixels; /* (c,h,w); channels are averaged, values stretched between their percentiles 0.5
                                and 99.5 */
        int c, h, w;
        int rows, columns, stride; /* cells, see train/windows.h */
        const int *labels;         /* (rows,columns), below num_classes */
        const float *probabilities;
        float threshold; /* cells below it stay grey, hatched */
        int num_classes;
        const char *const *classes; /* names */
        double pixel_m;             /* metres a pixel is wide; 0 for unknown: no scale bar */
};

/* Appends a PNG. ERR_NO_MEMORY. */
int overlay_png(const struct overlay *o, struct str *out, struct err *e);

#endif
