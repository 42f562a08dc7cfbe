/* Counts of values by size, in Prometheus's form. */
#ifndef CNND_HISTOGRAM_H
#define CNND_HISTOGRAM_H

#include "base/str.h"

#include <stdint.h>

enum { HISTOGRAM_BOUNDS = 12 };

struct histogram {
        uint64_t count[HISTOGRAM_BOUNDS + 1]; /* the last: above all bounds */
        double sum;
};

/* Upper bounds, rising, in seconds: of requests, and of what takes its time. */
extern const double histogram_quick[HISTOGRAM_BOUNDS], histogram_slow[HISTOGRAM_BOUNDS];

void histogram_add(struct histogram *h, const double bounds[HISTOGRAM_BOUNDS], double value);
/* The lines NAME_bucket, NAME_sum and NAME_count; `labels` stand in each, "" for none. */
void histogram_write(const struct histogram *h, const double bounds[HISTOGRAM_BOUNDS], const char *name,
        const char *labels, struct str *out);

#endif
