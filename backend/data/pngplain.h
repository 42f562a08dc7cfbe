/* The PNGs that most programs write of micrographs, without libpng's set-up, which costs more than a small
   one's pixels: 8 bits a sample, grey or RGB, not interlaced, the pixels in one chunk. */
#ifndef CNND_PNGPLAIN_H
#define CNND_PNGPLAIN_H

#include "data/image.h"

#include <stdbool.h>
#include <stddef.h>

/* `bytes` begin with PNG's magic. False, with *ret untouched, for any other kind, for a damaged one and
   without memory: libpng finds out which. The pixels are those that png.c gives. */
bool pngplain_decode(const unsigned char *bytes, size_t len, struct image *ret);

#endif
