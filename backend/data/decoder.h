/* What the image decoders share: one row of the table in formats.c each. A decoder sets the pixels and, where
   the file tells, the pixel's size and the databar. */
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

/* Writes down the size of a pixel in `unit` as unit_parse knows it ("nm", "1/nm"); leaves it unknown where
   the unit is none, or a size is not finite and positive. */
void image_set_pixel(struct image *im, double pixel_h, double pixel_w, const char *unit);
/* ERR_INVALID with the place of the first pixel that is NaN or infinite. */
int image_check_finite(const struct image *im, struct err *e);
/* One channel instead of three that are equal; what is not so stays. Short of memory: it stays, too. */
void image_merge_grey(struct image *im);

/* Formats without a magic at the start. Both look at the first IMAGE_HEAD_BYTES alone; `mrc_is` believes a
 * header that makes sense with the file's length.
 */
bool dm_is(const unsigned char *bytes, size_t len);
bool mrc_is(const unsigned char *bytes, size_t len);

/* Each decodes bytes that begin with its magic; *ret is untouched on failure. */
int png_decode(const unsigned char *bytes, size_t len, struct image *ret, struct err *e);
int pnm_decode(const unsigned char *bytes, size_t len, struct image *ret, struct err *e);
int npy_decode(const unsigned char *bytes, size_t len, struct image *ret, struct err *e);
/* What npy_decode would say of an array of `len` bytes before it reads pixels; the first `have` are at hand,
   at most NPY_HEAD_BYTES are needed. */
enum { NPY_HEAD_BYTES = 65546 };
int npy_check(const unsigned char *bytes, size_t have, uint64_t len, struct err *e);
/* The one array of a zip that can be an image; ERR_INVALID names them when there are several. */
int npz_decode(const unsigned char *bytes, size_t len, struct image *ret, struct err *e);
int jpeg_decode(const unsigned char *bytes, size_t len, struct image *ret, struct err *e);
/* The largest page that is not JPEG, with the pages like it as further frames. */
int tiff_decode(const unsigned char *bytes, size_t len, struct image *ret, struct err *e);
/* MRC2014 and what came before it; a stack of images gives frames, a volume is refused. */
int mrc_decode(const unsigned char *bytes, size_t len, struct image *ret, struct err *e);
/* DigitalMicrograph 3 and 4: the first image that is no thumbnail; a stack gives frames. */
int dm_decode(const unsigned char *bytes, size_t len, struct image *ret, struct err *e);
/* TIA series of images. */
int ser_decode(const unsigned char *bytes, size_t len, struct image *ret, struct err *e);
/* Velox and NCEM flavours of HDF5: the largest real image. */
int emd_decode(const unsigned char *bytes, size_t len, struct image *ret, struct err *e);

#endif
