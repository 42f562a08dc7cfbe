/* Numbers as pictures: maps of one size drawn beside each other. */
#ifndef CNND_GRID_H
#define CNND_GRID_H

#include "base/err.h"
#include "base/str.h"

enum {
        GRID_MAX = 65536 /* cells */,
        GRID_SIDE = 1 << 24 /* pixels of all maps in one row or column, */,
        GRID_PIXELS = 1 << 26 /* and of all of them */,
        GRID_CELL = 40 /* pixels that a cell is magnified to */,
        GRID_WIDTH = 1600
};

/* Appends a PNG: `maps` (count,channels,h,w), channels 1 (grey) or 3 (RGB), in rows of about as many as there
   are columns, one pixel apart, each pixel magnified by a whole number towards GRID_CELL while the picture
   stays below GRID_WIDTH. The smallest number of all is black and the largest white; what is not finite is
   drawn black. ERR_TOO_LARGE above GRID_MAX cells, GRID_SIDE and GRID_PIXELS, ERR_INVALID for other channels.
 */
int grid_png(const float *maps, int count, int channels, int h, int w, struct str *out, struct err *e);
/* The same with `columns` maps a row. */
int grid_rows_png(const float *maps, int count, int columns, int channels, int h, int w, struct str *out,
        struct err *e);

#endif
