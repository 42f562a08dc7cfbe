/* A driver that is slow to hand out what it has compiled (dev.h, slow_binaries) is asked for it while nobody
   waits: after a time without work one program goes into the cache folder, and soon the next. The engine
   thread's own. */
#ifndef CNND_KEEPING_H
#define CNND_KEEPING_H

#include "device/dev.h"

#include <stdbool.h>

struct keeping {
        struct dev *dev; /* borrowed */
        int quiet_ms;
        bool more, begun; /* in this time without work */
};

/* CNND_TEST_QUIET_MS in the environment is for tests: the time without work, 60000 else. */
void keeping_start(struct keeping *k, struct dev *d);
/* A time without work begins. */
void keeping_rest(struct keeping *k);
/* How long it has to last until keeping_next; -1 where there is nothing to keep. */
int keeping_wait_ms(const struct keeping *k);
/* Keeps one program, which may take seconds. Where that fails it is logged, and the rest waits for the next
   time without work: no harm, for the next start compiles again. */
void keeping_next(struct keeping *k);

#endif
