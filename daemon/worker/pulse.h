/* What a worker's engine thread lets others see of it: whether it makes progress, and what it is doing. */
#ifndef CNND_PULSE_H
#define CNND_PULSE_H

#include "daemon/worker/engine.h"
#include "daemon/worker/memwatch.h"
#include "device/dev.h"

#include <stdatomic.h>

struct pulse {
        atomic_ullong progress, device_bytes;
        atomic_bool busy, compiling;
        struct memwatch memory;
};

/* The engine's thread got somewhere. `d` is NULL until the device is open. */
void pulse_moved(struct pulse *p, const struct dev *d);
/* From here on it is seen when `d` compiles, and what others use of its memory. Both live as long as the
 * process. */
int pulse_watch(struct pulse *p, struct dev *d, struct err *e);
/* Any thread: all but a map's progress. */
void pulse_read(struct pulse *p, struct engine_pulse *ret);

#endif
