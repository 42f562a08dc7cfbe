#include "check.h"

#include <math.h>

void check_close(const char *what, const float *got, const double *want, size_t n, double abs_tol,
        double rel_tol, const char *file, int line)
{
        for (size_t i = 0; i < n; i++) {
                double diff = fabs((double)got[i] - want[i]);
                if (!(diff <= abs_tol + rel_tol * fabs(want[i])))
                        fail_msg("%s:%d: %s[%zu] of %zu is %.9g, wanted %.9g (off by %.3g)", file, line, what,
                                i, n, (double)got[i], want[i], diff);
        }
}
