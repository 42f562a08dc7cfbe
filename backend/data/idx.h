/* One IDX file: big-endian magic (0, 0, type, dimensions), the dimensions, bytes.
   Source: http://yann.lecun.com/exdb/mnist/ (file formats). Unsigned bytes only. */
#ifndef CNND_IDX_H
#define CNND_IDX_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

enum { IDX_MAX_DIMS = 3 };
#define IDX_MAX_BYTES ((uint64_t)1 << 32) /* of one file's data */

struct idx {
        int ndim;
        uint32_t dims[IDX_MAX_DIMS];
        unsigned char *bytes; /* owned; the product of dims */
        size_t len;
};
/* Reads a plain or gzipped file of `ndim` dimensions whole. The header's size is believed only as far as the
   file's own length can bear it (deflate packs 1032 to 1 at best); surplus data is refused, so that a gzip
   bomb costs no more than the header told. */
int idx_read(const char *path, int ndim, struct idx *ret, struct err *e);
/* The same from a descriptor, which is taken also on failure; `path` is for messages. */
int idx_read_fd(int fd, const char *path, int ndim, struct idx *ret, struct err *e);
void idx_finish(struct idx *x);

#endif
