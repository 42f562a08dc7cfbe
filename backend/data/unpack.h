/* Compressed data of an archive, read in whole pieces. */
#ifndef CNND_UNPACK_H
#define CNND_UNPACK_H

#include <archive.h>
#include <stddef.h>
#include <sys/types.h>

/* Reads `len` bytes of the entry in hand, fewer at its end alone; -1 for damage. */
ssize_t unpack_read(struct archive *a, void *to, size_t len);

#endif
