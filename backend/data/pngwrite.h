/* PNG files with 8 bits a channel, row by row. */
#ifndef CNND_PNGWRITE_H
#define CNND_PNGWRITE_H

#include "base/err.h"
#include "base/str.h"

/* Fills `row` (width,channels) with row y. */
typedef void (*pngwrite_row)(const void *ctx, int y, unsigned char *row);

/* Appends the picture to `out`; channels 1 (grey) or 3 (RGB). ERR_NO_MEMORY. */
int pngwrite(int width, int height, int channels, pngwrite_row draw, const void *ctx, struct str *out,
        struct err *e);

#endif
