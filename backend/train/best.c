#include "train/best.h"

#include <math.h>
#include <string.h>

void best_note(enum metric m, int64_t step, const double metrics[METRICS], struct best *best)
{
        const float value = m == METRIC_NONE ? NAN : (float)metrics[m - 1];
        if (!isfinite(value) || (best->step && !metric_better(m, value, (float)best->metrics[m - 1], 0)))
                return;
        best->step = step;
        memcpy(best->metrics, metrics, sizeof best->metrics);
}
