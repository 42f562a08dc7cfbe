/* What the tests of ops share: the device, and one layer tried in every way that a plan may use it. */
#ifndef CNND_TEST_OPS_H
#define CNND_TEST_OPS_H

#include "../check.h"
#include "ops/trial.h"

/* CNND_DEVICE, else the first CPU, else the first device. */
struct ops_fixture {
        struct dev *dev;
        uint64_t seed; /* CNND_TEST_SEED, else of the clock; printed */
};

/* Runs the tests with a struct ops_fixture in *state. Returns main's status: 77 (skipped) when no device is
   there, unless CNND_REQUIRE_DEVICE=1. */
int ops_run(const struct CMUnitTest *tests, size_t count);
#define OPS_RUN(tests) ops_run(tests, sizeof(tests) / sizeof((tests)[0]))

/* All its inputs are of shape `in`. `args` may be NULL. */
struct op *ops_layer(const struct op_kind *kind, const void *args, struct shape in);

/* One trial must come out within `tolerance` (trial_result.error). Its seed is in the message. */
void ops_check(const struct trial *t, uint64_t seed, double tolerance);
/* Every variant, with lanes 1, 16 and 32: training with backward, evaluation, slices, accumulation, in place
   where the kind can, no gradients wanted. Destroys nothing. */
void ops_check_all(struct ops_fixture *f, const struct op *op, int n, double tolerance);
/* A norm of values whose mean is 1000 times their deviation: sums of squares would lose everything. */
void ops_check_far(struct ops_fixture *f, const struct op *op);
/* The reference's gradients against central differences of its forward pass, in double. */
void ops_check_reference(struct ops_fixture *f, const struct op *op, int n);

#endif
