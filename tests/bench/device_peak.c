#include "device_peak.h"
#include "base/clock.h"
#include "device/buf.h"
#include "device/launch.h"
#include "ops/op.h"

#include <stdbool.h>

enum { ROUNDS = 5000000, TRIES = 5, LANES_CPU = 16 };

int device_peak(struct dev *d, double *ret_gflops, struct err *e)
{
        const struct dev_info *info = dev_info(d);
        const bool cpu = info->lanes == LANES_CPU;
        const int chains = cpu ? info->native_width >= 16 ? 12 : 6 : 1;
        const size_t items = (size_t)info->compute_units * (cpu ? 1 : 2048);
        const int rounds = cpu ? ROUNDS : ROUNDS / 250;
        const double flops = (double)items * rounds * chains * 16 * 2;
        struct view out = {0};
        char options[OP_OPTIONS];
        op_options(options, info->lanes, "-DCHAINS=%d", chains);
        int rc = buf_create(d, items * 16 * sizeof(float), "a measurement", &out.buf, e);
        double best = 0;
        for (int i = 0; i < TRIES && rc == 0; i++) {
                struct launch l = launch_begin(d, "peak", options, "peak");
                launch_view(&l, &out);
                launch_int(&l, rounds);
                launch_float(&l, 0.5f);
                const double from = clock_now_s();
                rc = launch_grid(&l, 1, (size_t[]){items}, cpu ? (size_t[]){1} : NULL, e);
                if (rc == 0)
                        rc = dev_finish(d, e);
                const double gflops = flops / (clock_now_s() - from) * 1e-9;
                if (gflops > best)
                        best = gflops;
        }
        buf_destroy(out.buf);
        *ret_gflops = best;
        return rc;
}
