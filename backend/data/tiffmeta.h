/* Size of a pixel and height of the databar from the private tags of the makers of microscopes. */
#ifndef CNND_TIFFMETA_H
#define CNND_TIFFMETA_H

#include "data/image.h"

#include <stddef.h>
#include <stdint.h>

struct tiffmeta {
        double pixel_h, pixel_w; /* in `unit` */
        char unit[32];           /* "" where no tag tells */
        uint32_t image_h;        /* rows that are image, 0 where no tag tells */
        uint32_t frames;         /* that follow each other behind the only directory (ImageJ), 0 where not */
};

enum { TIFFMETA_MAX_TAGS = 4096 };

/* Reads the directory at `offset` on its own: of private tags libtiff keeps no type. Tags that do not make
   sense leave their field as it was. */
void tiffmeta_read(const unsigned char *bytes, size_t len, uint64_t offset, struct tiffmeta *m);

#endif
