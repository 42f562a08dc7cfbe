/* Samples of the array-like formats to the floats of image.h: unsigned 8 and 16 bits scaled to 0..1, all
   others as they are. */
#ifndef CNND_SAMPLE_H
#define CNND_SAMPLE_H

#include <stdbool.h>
#include <stddef.h>

enum sample_kind { SAMPLE_UINT, SAMPLE_INT, SAMPLE_FLOAT };
struct sample {
        enum sample_kind kind;
        int bytes; /* 1, 2, 4 or 8; floats 2, 4 or 8 */
        bool big_endian;
};

/* `count` samples whose beginnings lie `stride` bytes apart. A double beyond the floats becomes infinite. */
void sample_read(const struct sample *s, const unsigned char *from, size_t stride, size_t count, float *to);
/* `count` unsigned samples of `bits` (1 to 16) each, packed from the highest bit of the first byte on, the
   first one `skip` samples in and `step` samples from one to the next; scaled to 0..1. */
void sample_unpack(const unsigned char *from, int bits, size_t skip, size_t step, size_t count, float *to);

#endif
