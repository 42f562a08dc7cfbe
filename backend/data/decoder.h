/* What the image decoders share: one row of the table in image.c each. */
#ifndef CNND_DECODER_H
#define CNND_DECODER_H

#include "base/err.h"
#include "data/image.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* 0 if (n,c,h,w) lies within the bounds of image.h; ERR_INVALID for an empty dimension, ERR_TOO_LARGE with
   the numbers past a bound. */
int image_check(uint64_t n, uint64_t c, uint64_t h, uint64_t w, struct err *e);
/* Checks as above, then allocates the pixels, uninitialised. Call it only when the content is long enough to
   fill them. */
int image_create(uint64_t n, uint64_t c, uint64_t h, uint64_t w, struct image *ret, struct err *e);

/* Each decodes bytes that begin with its magic; *ret is untouched on failure. */
int png_decode(const unsigned char *bytes, size_t len, struct image *ret, struct err *e);
int pnm_decode(const unsigned char *bytes, size_t len, struct image *ret, struct err *e);
int npy_decode(const unsigned char *bytes, size_t len, struct image *ret, struct err *e);

#endif
