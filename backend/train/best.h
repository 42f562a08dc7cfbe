/* The best epoch of a run so far: the one that a job with save_best keeps the weights of. */
#ifndef CNND_BEST_H
#define CNND_BEST_H

#include "train/metric.h"

#include <stdint.h>

/* Part of the run's checkpoint. */
struct best {
        int64_t step; /* after which the epoch ended; 0: there is none yet */
        double metrics[METRICS];
};

/* The end of an epoch after `step` steps: it is the best from now on where the metric is better than ever
   before, as the curve tells it, in floats. Of equals the first stays, and what is no finite number is never
   best. METRIC_NONE: nothing is noted. */
void best_note(enum metric m, int64_t step, const double metrics[METRICS], struct best *best);

#endif
