/* One op run once on a device with inputs from the host, and held against its reference: what the selftest
   and the tests of ops are made of.

   Every tensor lies in a buffer of its own between canaries; whatever the op does not own must be there
   unchanged afterwards, bit by bit: canaries, inputs, parameters, the other channels of a slice. Canaries,
   and everything the op has to write first, are NaNs, so that reading them shows too. Samples beyond n hold
   finite garbage in x and zeros in dy; their dx must come out zero, their y finite. Launches are recorded and
   replayed, as a plan does it. */
#ifndef CNND_TRIAL_H
#define CNND_TRIAL_H

#include "ops/op.h"
#include "ops/trial_epilogue.h"

enum { TRIAL_WHAT = 24 };

struct trial {
        struct dev *dev;     /* borrowed */
        const struct op *op; /* borrowed; not a view */
        int n, lanes;
        enum op_variant variant;
        enum op_precision precision;
        bool training; /* false: forward alone, as in evaluation */
        bool backward; /* where training; without it only of a kind with running statistics, frozen */
        bool slices;   /* every tensor is a channel slice of a larger one */
        bool in_place; /* y is x, dx is dy; for kinds that can */
        bool accumulate_dx, accumulate_dparams;
        bool no_dx;                            /* nobody wants the gradient of the inputs */
        bool frozen;                           /* nobody wants the gradient of the parameters */
        const struct trial_epilogue *epilogue; /* borrowed; NULL: none. Not with backward */
        bool last_first;     /* launches from the last to the first, to have them compiled: the results mean
                                nothing */
        const int32_t *vars; /* OP_VARS words; NULL for trial_vars */
        int layer;
        bool lie; /* trial_compare reads y falsely: what a driver that computes wrong would give */
};

/* A step in the middle of a job, whose seed has bits in both words. */
extern const int32_t trial_vars[OP_VARS];

/* Host side, NCHW, contiguous. All arrays are there for every op, whatever a trial uses. */
struct trial_data {
        float *x[OP_MAX_INPUTS], *dy,
                *params[OP_MAX_PARAMS]; /* in; params come back as they are after the run */
        float *dx[OP_MAX_INPUTS], *dparams[OP_MAX_PARAMS]; /* out; in as well where the trial accumulates */
        float *y;                                          /* out */
};

/* Everything from `seed`, the outputs too: x, dy and gradients in [-1, 1], parameters around what they start
   with in a network. Free with trial_data_destroy. */
int trial_data_create(const struct op *op, int n, uint64_t seed, struct trial_data **ret, struct err *e);
void trial_data_destroy(struct trial_data *data);

/* ERR_DEVICE "… wrote outside …" when a canary or an input changed, or a padding rule is broken; other errors
   as they come from the device. On success the outputs of `data` are filled. */
int trial_run(const struct trial *t, struct trial_data *data, struct err *e);

/* The worst disagreement between device and reference. */
struct trial_result {
        double error;          /* |got - want| over the largest |want| of its array, see trial_judge */
        char what[TRIAL_WHAT]; /* "y", "dx[0]", "d weight", "running_mean" … */
        int64_t index;
        double got, want;
};

/* Runs the trial on `data` (kept as trial_run leaves it) and the reference on the same numbers. 0 however far
   they are apart: the caller judges ret->error. A NaN on one side only is an infinite error. */
int trial_compare(const struct trial *t, struct trial_data *data, struct trial_result *ret, struct err *e);
/* The same with data from `seed`. */
int trial_seeded(const struct trial *t, uint64_t seed, struct trial_result *ret, struct err *e);

/* Raises `worst` by the disagreement of one array, whose name is prefix and name together; errors count
   relative to the array's largest wanted value, or to `floor` if that is larger. */
void trial_judge(struct trial_result *worst, const char *prefix, const char *name, const float *got,
        const double *want, size_t count, double floor);

/* A uniform number in [0, 1) from a generator of 64 bits that it advances (splitmix64). */
double trial_uniform(uint64_t *state);

#endif
