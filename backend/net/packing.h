/* Tensors with lives in one piece of memory: each is put as low as it goes without meeting one that lives at
   the same moment. A network of thousands of layers has tens of thousands, and is packed while a request
   waits: nobody is looked at one by one where it can be told for all of them. */
#ifndef CNND_PACKING_H
#define CNND_PACKING_H

#include "base/err.h"

#include <stdint.h>

/* Bytes, floats: whatever the caller counts in. Lives are inclusive. */
struct packed {
        uint64_t offset, size;
        int first, last;
};

struct packing;
/* Empty, for lives within 0..moments-1. */
int packing_create(int moments, struct packing **ret, struct err *e);
/* NULL accepted. */
void packing_destroy(struct packing *p);
/* The lowest offset at which `size` units that live from `first` to `last` meet nobody. */
uint64_t packing_lowest(const struct packing *p, uint64_t size, int first, int last);
/* Puts it there. */
int packing_put(struct packing *p, const struct packed *piece, struct err *e);

#endif
