#include "ops/tuner.h"
#include "base/clock.h"
#include "ops/conv.h"
#include "ops/kinds.h"
#include "ops/selftest.h"
#include "ops/stopwatch.h"
#include "ops/trial.h"

#include <stdlib.h>
#include <string.h>

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

/* The fast variants of a direction. */
static unsigned usable(const struct dev *d, const struct op *op, enum op_direction direction, int lanes)
{
        unsigned set = op->kind->variants ? op->kind->variants(op, direction, lanes, dev_info(d)) : 0;
        for (int v = 0; v < OP_VARIANTS; v++)
                if (v == OP_NAIVE || !selftest_allows(d, op->kind, (enum op_variant)v) ||
                        (v == OP_CLBLAST && !clblast_applied(d)))
                        set &= ~(1u << v);
        return set;
}

bool tuner_can_choose(const struct dev *d, const struct op *op, int lanes)
{
        bool can = false;
        for (int i = 0; i < OP_DIRECTIONS; i++) {
                const unsigned set = usable(d, op, (enum op_direction)i, lanes);
                can = can || set & (set - 1);
        }
        return can;
}

static int choose(struct dev *d, const struct op *op, struct stopwatch *w, int lanes,
        enum op_direction direction, enum op_variant *ret, double seconds[OP_VARIANTS], struct err *e)
{
        const unsigned set = usable(d, op, direction, lanes);
        double best = 0;
        if (!(set & (set - 1)))
                return 0;
        for (int v = OP_NAIVE + 1; v < OP_VARIANTS; v++) {
                if (!(set & 1u << v))
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

/* For kernels that go through local memory, from 32 sums of a work-group a side to 128, and one that does
   not. In the order of clblast.h. */
static const struct clblast_params candidates[] = {
        {{0, 1, 16, 2, 16, 8, 64, 16, 8, 64, 1, 1, 0, 0, 4, 4}},
        {{0, 1, 16, 2, 32, 16, 128, 32, 16, 128, 1, 1, 0, 0, 4, 4}},
        {{0, 1, 16, 2, 32, 16, 128, 16, 8, 64, 1, 1, 0, 0, 4, 4}},
        {{0, 1, 32, 2, 16, 16, 64, 16, 16, 64, 1, 1, 0, 0, 2, 2}},
        {{0, 1, 32, 8, 32, 16, 128, 32, 16, 128, 1, 1, 1, 1, 4, 4}},
        {{0, 1, 16, 2, 16, 8, 64, 32, 16, 128, 1, 1, 0, 0, 4, 4}},
        {{0, 1, 32, 2, 16, 16, 128, 16, 8, 64, 1, 1, 1, 0, 4, 4}},
        {{0, 1, 16, 2, 8, 8, 32, 8, 8, 32, 1, 1, 0, 0, 4, 4}},
        {{0, 1, 32, 2, 16, 8, 64, 16, 8, 64, 0, 0, 0, 0, 4, 4}},
};

static int make_layer(struct shape in, int outs, struct op **ret, struct err *e)
{
        const struct conv_args args = {outs, {1, 1}, {1, 1}, {0, 0}, {1, 1}, 1, false};
        return op_create(&op_conv2d, &args, &in, 1, ret, e);
}

/* All directions of a layer whose matrices fill no tile, and of one where they fill every tile, against the
   reference in double. */
static int multiplies_right(struct dev *d, bool *ret, struct err *e)
{
        static const struct {
                struct shape in;
                int outs;
        } layers[] = {{{67, 5, 7}, 70}, {{128, 4, 4}, 128}};
        const char *lie = getenv("CNND_TEST_LIE");
        const int lanes = dev_info(d)->lanes;
        int rc = 0;
        *ret = true;
        for (int i = 0; i < 2 && rc == 0; i++) {
                struct op *op;
                struct trial_result result = {0};
                rc = make_layer(layers[i].in, layers[i].outs, &op, e);
                if (rc)
                        return rc;
                const struct trial t = {.dev = d,
                        .op = op,
                        .n = lanes + 3,
                        .lanes = lanes,
                        .variant = OP_CLBLAST,
                        .training = true,
                        .backward = true,
                        .accumulate_dx = i == 1,
                        .lie = lie && strcmp(lie, "clblast") == 0};
                rc = trial_seeded(&t, 1, &result, e);
                *ret = *ret && result.error <= 1e-4;
                op_destroy(op);
        }
        return rc;
}

/* Seconds of all directions of a layer in the middle of a network. */
static int time_products(struct dev *d, const struct op *op, double *ret, struct err *e)
{
        struct stopwatch *w;
        double sum = 0;
        int rc = stopwatch_create(d, op, dev_info(d)->lanes, dev_info(d)->lanes, &w, e);
        if (rc)
                return rc;
        for (int i = 0; i < OP_DIRECTIONS && rc == 0; i++) {
                double seconds = 0;
                rc = time_variant(d, w, (enum op_direction)i, OP_CLBLAST, &seconds, e);
                sum += seconds;
        }
        stopwatch_destroy(w);
        *ret = sum;
        return rc;
}

/* *ret 0: passed over. */
static int try_candidate(
        struct dev *d, const struct op *op, const struct clblast_params *p, double *ret, struct err *e)
{
        bool right = false;
        *ret = 0;
        int rc = clblast_apply(d, p, e);
        if (rc == 0)
                rc = multiplies_right(d, &right, e);
        if (rc == 0 && right)
                rc = time_products(d, op, ret, e);
        if (rc != ERR_DEVICE && rc != ERR_BUILD && rc != ERR_DEVICE_MEMORY)
                return rc;
        *ret = 0;
        *e = (struct err){0};
        return 0;
}

int tuner_clblast(
        struct dev *d, double seconds, struct clblast_params *ret, double *ret_gflops, struct err *e)
{
        enum { COUNT = sizeof candidates / sizeof candidates[0], CHANNELS = 256, SIDE = 14 };
        struct err scratch = {0};
        struct op *op;
        const double start = clock_now_s();
        double best = 0;
        int found = 0;
        e = e ? e : &scratch;
        int rc = make_layer((struct shape){CHANNELS, SIDE, SIDE}, CHANNELS, &op, e);
        if (rc)
                return rc;
        for (int i = 0; i < COUNT && rc == 0; i++) {
                double time = 0;
                if (i > 0 && clock_now_s() - start > seconds)
                        break;
                rc = try_candidate(d, op, &candidates[i], &time, e);
                if (rc == 0 && time > 0 && (best == 0 || time < best)) {
                        best = time;
                        found = i;
                }
        }
        if (rc == 0 && best == 0)
                rc = err_set(e, ERR_NOT_FOUND,
                        "CLBlast multiplies right on %s with no parameters that were tried",
                        dev_info(d)->name);
        if (rc == 0)
                rc = clblast_apply(d, &candidates[found], e);
        if (rc == 0) {
                *ret = candidates[found];
                *ret_gflops = 1e-9 * OP_DIRECTIONS * (double)op->kind->flops(op) * dev_info(d)->lanes / best;
        }
        if (rc)
                clblast_forget(d);
        op_destroy(op);
        return rc;
}
