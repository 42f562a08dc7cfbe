/* The best ratios that compression can reach: whoever allocates by what a file claims checks the claim
   against them. */
#ifndef CNND_PACKED_H
#define CNND_PACKED_H

/* Bytes that one byte of deflate may stand for. */
enum { DEFLATE_RATIO = 1032 };

#endif
