/* Counter-based random numbers: Philox4x32-10 (Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy
   as 1, 2, 3, SC 2011). A number depends on its key and counter alone, so a resumed job draws what it would
   have drawn. */
#ifndef CNND_PHILOX_H
#define CNND_PHILOX_H

#include <stdint.h>

/* What a stream of numbers is for; part of the counter. Append only: results depend on the values. */
enum philox_purpose { PHILOX_INIT = 1, PHILOX_SHUFFLE = 2, PHILOX_DROPOUT = 3, PHILOX_AUGMENT = 4 };

/* Four words for element `index` of stream (purpose, stream) under `seed`. */
void philox(uint64_t seed, enum philox_purpose purpose, uint32_t stream, uint64_t index, uint32_t ret[4]);
/* Uniform in [0,1) from the upper 24 bits. */
float philox_uniform(uint32_t word);

#endif
