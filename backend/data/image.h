/* One or more images decoded to float32: what a microscope or a script posts for classification. */
#ifndef CNND_IMAGE_H
#define CNND_IMAGE_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bounds on what a decoder accepts, checked before anything is allocated. */
enum { IMAGE_MAX_SIDE = 65536, IMAGE_MAX_CHANNELS = 4096, IMAGE_MAX_COUNT = 65536 };
#define IMAGE_MAX_BYTES ((size_t)1 << 30) /* of decoded pixels */

/* What a pixel's side is measured in: the specimen, or reciprocal space (diffraction). */
enum image_unit { IMAGE_UNKNOWN, IMAGE_METRES, IMAGE_PER_METRE };

/* (n,c,h,w) floats, row-major; n counts the frames, row 0 is the top of the picture (MRC and SER store the
   bottom first). 8-bit sources are scaled to 0..1 by 255, 16-bit by 65535, other unsigned depths below 16 by
   their largest value (PNM: by the maximum that the file names); signed, 32-bit, 64-bit and float arrays are
   taken as they are. Palettes are expanded; an alpha channel is dropped; gamma, colour profiles and the
   orientation in TIFF and Exif are ignored. Colour that only repeats grey three times is one channel in TIFF,
   JPEG, MRC and DM. */
struct image {
        int n, c, h, w;
        float *pixels;        /* owned, n*c*h*w */
        const char *format;   /* "TIFF"; a constant, NULL for an image that no decoder made */
        enum image_unit unit; /* of the two below, which are 0 where the file does not tell */
        double pixel_h, pixel_w;
        int databar_h; /* rows of a microscope's caption that were cropped off the bottom */
};
void image_finish(struct image *im);

/* From now on, in this process, images of more values than this are ERR_TOO_LARGE; 0, as at the start:
   IMAGE_MAX_BYTES of floats. */
void image_bound(uint64_t values);

/* Decodes by content (PNG, JPEG, PGM/PPM, NPY, NPZ, TIFF, MRC, DM3/DM4, SER, EMD); `media_type` is what the
   sender claims, NULL or "application/octet-stream" for no claim. ERR_MEDIA for a format nobody here reads or
   a claim the content belies, ERR_SYNTAX for damaged content, ERR_INVALID for content no network can take
   (complex numbers, text, NaN, infinities), ERR_TOO_LARGE past the bounds. Parameters behind a media type
   (";…") are ignored. Nothing is allocated for pixels that the content is too short to hold. Reads untrusted
   bytes: never call it in the front process. */
int image_decode(const void *bytes, size_t len, const char *media_type, struct image *ret, struct err *e);

/* The name of the format that image_decode would take a content of `len` bytes for, NULL for none. Only the
   first IMAGE_HEAD_BYTES of them are looked at. */
enum { IMAGE_HEAD_BYTES = 4096 };
const char *image_format(const void *head, size_t len);

/* Makes every image (c,h,w): grey to RGB by copies, RGB to grey by ITU-R BT.601 luma, bilinear resize with
   half-pixel centres (PyTorch's interpolate, align_corners=False, antialias off); the size of a pixel follows
   the resize. ERR_INVALID for channel
   counts with no such rule, ERR_TOO_LARGE past the bounds; *im is untouched then. Short of memory it may be
   left half fitted, but valid. Works in place of *im. */
int image_fit(struct image *im, int c, int h, int w, struct err *e);
/* Whether there is a rule that makes images of so many channels those of others. */
bool image_channels_fit(int has, int wants);
/* What to say behind a wrong number of channels: of an array whose channels seem to come last; else "". */
const char *image_order_hint(const struct image *im);

#endif
