/* What packing can do at best: whoever allocates by what a file claims holds the claim against it. */
#ifndef CNND_PACKED_H
#define CNND_PACKED_H

/* Bytes that one byte of deflate may stand for. */
enum { DEFLATE_RATIO = 1032 };

#endif
