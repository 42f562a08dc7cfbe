/* Axes with round ticks. */
#ifndef CNND_AXIS_H
#define CNND_AXIS_H

#include <stdbool.h>

enum { AXIS_MAX_TICKS = 24 };

struct axis {
        double low, high; /* low < high; on a log axis both positive */
        bool log;
        double tick[AXIS_MAX_TICKS];
        int tick_count;
};

/* Ticks at about `want` multiples of 1, 2 or 5 times a power of ten; low and high are widened to ticks. */
void axis_linear(struct axis *a, double low, double high, int want);
/* Ticks at 1, 2, 5 times powers of ten, or at powers alone where there are many. Needs 0 < low <= high. */
void axis_log(struct axis *a, double low, double high);
/* 0 at low, 1 at high. */
double axis_place(const struct axis *a, double v);

#endif
