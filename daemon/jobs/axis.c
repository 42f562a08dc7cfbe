#include "daemon/jobs/axis.h"

#include <math.h>

static double round_step(double step)
{
        double power = pow(10, floor(log10(step))), f = step / power;
        return (f < 1.5 ? 1 : f < 3.5 ? 2 : f < 7.5 ? 5 : 10) * power;
}

void axis_linear(struct axis *a, double low, double high, int want)
{
        if (!(high - low > fabs(high) * 1e-9 + 1e-300)) {
                double wide = high != 0 ? fabs(high) * 0.1 : 1;
                low -= wide;
                high += wide;
        }
        double step = round_step((high - low) / want);
        double first = floor(low / step + 1e-9), last = ceil(high / step - 1e-9);
        a->log = false;
        a->low = first * step;
        a->high = last * step;
        a->tick_count = 0;
        for (double i = first; i <= last && a->tick_count < AXIS_MAX_TICKS; i++)
                a->tick[a->tick_count++] = i * step;
}

void axis_log(struct axis *a, double low, double high)
{
        static const double steps[] = {1, 2, 5};
        int first = (int)floor(log10(low)), last = (int)ceil(log10(high));
        int per_decade = last - first > 3 ? 1 : 3, every = (last - first) / 8 + 1;
        a->log = true;
        a->low = low / 1.1;
        a->high = high * 1.1;
        a->tick_count = 0;
        for (int d = first; d <= last; d += every)
                for (int i = 0; i < per_decade; i++) {
                        double v = pow(10, d) * steps[i];
                        if (v >= a->low && v <= a->high && a->tick_count < AXIS_MAX_TICKS)
                                a->tick[a->tick_count++] = v;
                }
}

double axis_place(const struct axis *a, double v)
{
        if (a->log)
                return (log(v) - log(a->low)) / (log(a->high) - log(a->low));
        return (v - a->low) / (a->high - a->low);
}
