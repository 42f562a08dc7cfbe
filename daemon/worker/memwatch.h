/* Watching the free memory of a worker's device once a second, in a thread of its own: if the driver hangs
   when asked, only that number is lost. */
#ifndef CNND_MEMWATCH_H
#define CNND_MEMWATCH_H

#include "base/err.h"
#include "device/dev.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct memwatch {
        struct dev *dev;
        atomic_ullong free_bytes;
        atomic_llong told_ms; /* when it was told last; 0 for never */
};

/* Starts the thread, which lives as long as the process, as `w` and `d` (borrowed) are to. Where nobody tells
   there soon is none. */
int memwatch_start(struct memwatch *w, struct dev *d, struct err *e);
/* Any thread: vram_free of a moment ago; false where it is not known. */
bool memwatch_free(struct memwatch *w, uint64_t *ret);

#endif
