/* Whether decoders can open their sandbox at all, remembered for all of them: a container may forbid it. One
   thread. */
#ifndef CNND_DECODER_HEALTH_H
#define CNND_DECODER_HEALTH_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

/* All zero at the start. */
struct decoder_health {
        uint64_t refusals; /* processes that could not */
        bool failing;      /* the last of them could not */
};

/* A process could not, for the reason `why`; the first of several is logged. */
void decoder_health_refused(struct decoder_health *h, const struct err *why);
/* A process has answered a request. */
void decoder_health_served(struct decoder_health *h);

#endif
