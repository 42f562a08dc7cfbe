/* Pages of a TIFF file, read by libtiff from memory. */
#ifndef CNND_TIFFPAGE_H
#define CNND_TIFFPAGE_H

#include "base/err.h"
#include "data/image.h"

#include <stdbool.h>
#include <stdint.h>
#include <tiffio.h>

/* A file open in memory. libtiff's errors go to `message` (the first one since it was cleared), and of its
   warnings those that pixels are wrong behind. */
struct tiffpage_file {
        const unsigned char *bytes; /* borrowed */
        size_t len, at;
        TIFF *tif; /* owned */
        char message[200];
};

/* What decides how a page is read. All zero but `offset` and `why` for one that is not read here. */
struct tiffpage {
        uint64_t offset; /* of its directory */
        uint32_t w, h;
        uint16_t samples, bits, format, compression, photometric, planar;
        int channels; /* that are pixels: without alpha; a palette has 1 here */
        bool thumbnail;
        const char *why; /* NULL, or what keeps it from being read; a constant */
};

int tiffpage_open(const unsigned char *bytes, size_t len, struct tiffpage_file *f, struct err *e);
void tiffpage_close(struct tiffpage_file *f);
/* The page that libtiff stands on. */
void tiffpage_describe(struct tiffpage_file *f, struct tiffpage *ret);
/* Whether `b` can be a frame of the same image as `a`. */
bool tiffpage_alike(const struct tiffpage *a, const struct tiffpage *b);
/* 3 for colour, palettes included. */
int tiffpage_channels(const struct tiffpage *p);
/* Pixel bytes of a page as libtiff delivers them, and the most of them that a file of `len` bytes can hold.
 */
uint64_t tiffpage_bytes(const struct tiffpage *p);
uint64_t tiffpage_most_bytes(const struct tiffpage *p, size_t len);
/* Reads the page into `pixels` (tiffpage_channels, h, w). */
int tiffpage_read(struct tiffpage_file *f, const struct tiffpage *p, float *pixels, struct err *e);
/* Reads `frames` of them (n, tiffpage_channels, h, w) that follow each other uncompressed from the page's
 * first strip on. */
int tiffpage_read_run(
        struct tiffpage_file *f, const struct tiffpage *p, uint64_t frames, float *pixels, struct err *e);
/* ERR_SYNTAX with libtiff's own words. */
int tiffpage_damaged(const struct tiffpage_file *f, struct err *e);

#endif
