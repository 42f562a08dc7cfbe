#include "ops/tuner.h"
#include "ops/selftest.h"
#include "ops/stopwatch.h"

/* Runs of less than this are repeated for as long. */
static const double least_seconds = 0.02;

/* On a CPU the seconds of its cores, which others on the machine disturb less than the wall's. */
static int time_variant(struct dev *d, struct stopwatch *w, enum op_direction direction, enum op_variant v,
        double *ret, struct err *e)
{
        const clockid_t clock = dev_info(d)->type == DEV_CPU ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC;
        struct launch_list *list;
        int rc = stopwatch_record(w, direction, v, &list, e);
        if (rc)
                return rc;
        rc = stopwatch_time(w, list, least_seconds, clock, ret, e);
        launch_list_destroy(list);
        return rc;
}

static int choose(struct dev *d, const struct op *op, struct stopwatch *w, int lanes,
        enum op_direction direction, enum op_variant *ret, double seconds[OP_VARIANTS], struct err *e)
{
        const unsigned set = op->kind->variants(op, direction, lanes, dev_info(d)) & ~(1u << OP_NAIVE);
        double best = 0;
        if (!(set & (set - 1)))
                return 0;
        for (int v = OP_NAIVE + 1; v < OP_VARIANTS; v++) {
                if (!(set & 1u << v) || !selftest_allows(d, op->kind, (enum op_variant)v))
                        continue;
                const int rc = time_variant(d, w, direction, (enum op_variant)v, &seconds[v], e);
                if (rc)
                        return rc;
                if (best == 0 || seconds[v] < best) {
                        best = seconds[v];
                        *ret = (enum op_variant)v;
                }
        }
        return 0;
}

int tuner_measure(struct dev *d, const struct op *op, int n, int lanes, enum op_variant ret[OP_DIRECTIONS],
        struct tuner_times *times, struct err *e)
{
        struct stopwatch *w;
        struct tuner_times scratch = {0};
        enum op_variant chosen[OP_DIRECTIONS];
        strategy_prefer(op, n, lanes, dev_info(d), chosen);
        int rc = stopwatch_create(d, op, n, lanes, &w, e);
        if (rc)
                return rc;
        for (int i = 0; i < OP_DIRECTIONS && rc == 0 && op->kind->variants; i++)
                rc = choose(d, op, w, lanes, (enum op_direction)i, &chosen[i], scratch.seconds[i], e);
        stopwatch_destroy(w);
        for (int i = 0; i < OP_DIRECTIONS && rc == 0; i++)
                ret[i] = chosen[i];
        if (rc == 0 && times)
                *times = scratch;
        return rc;
}
