/* What an op is: one layer's mathematics on a device. One file per op; `op_kinds` lists them all.

   An op states everything before anything runs: output shape, parameters, what backward reads again, saved
   tensors, workspace, FLOPs. Its forward and backward only launch kernels on buffers that the plan bound;
   they decide nothing from data, so that a recorded sequence of launches can be replayed every step. */
#ifndef CNND_OP_H
#define CNND_OP_H

#include "base/err.h"
#include "device/dev.h"
#include "device/launch.h"
#include "device/tensor.h"
#include "ops/field.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { OP_MAX_INPUTS = 2, OP_MAX_PARAMS = 5, OP_MAX_SAVED = 2, OP_MAX_DIMS = 4 };

/* How a parameter starts, in PyTorch's terms. */
enum op_init {
        OP_INIT_WEIGHT, /* by the job's `init` (Xavier uniform), from fan_in and fan_out */
        OP_INIT_BIAS,   /* uniform within 1/sqrt(fan_in): PyTorch's default for biases */
        OP_INIT_ZERO,
        OP_INIT_ONE,
};

struct op_param {
        const char *name; /* "weight", "bias", "running_mean" … */
        int ndim, dims[OP_MAX_DIMS];
        int fan_in, fan_out;
        enum op_init init;
        bool trainable; /* false: a buffer such as running statistics: no gradient, but saved with the weights
                         */
        bool counter;   /* int64 scalar in files (num_batches_tracked), one float on the device */
};

/* A small layer that stands for its kind in the selftest. */
struct op_example {
        const void *args; /* kind->args_bytes; NULL where there are none */
        struct shape in;  /* of every input */
        int n;            /* 0 ends a list */
};

struct op_kind;

/* One layer with its shapes. Made by op_create, immutable after. */
struct op {
        const struct op_kind *kind;
        void *args; /* owned, kind->args_bytes: the hyperparameters */
        int num_inputs;
        struct shape in[OP_MAX_INPUTS], out;
        int num_params;
        struct op_param params[OP_MAX_PARAMS];
};

/* Which tensors backward reads again, so that the plan keeps them. */
enum { OP_READS_X = 1, OP_READS_Y = 2 };

/* What a batch takes beside x, y, dx, dy and the parameters. In floats. */
struct op_needs {
        int num_saved;
        uint64_t saved[OP_MAX_SAVED];                   /* written by a training forward, read by backward */
        uint64_t workspace_forward, workspace_backward; /* scratch within the call */
        bool packs_params; /* workspace_forward is for what forward makes of the parameters alone */
};

/* What a call computes: y; the gradient of the inputs; that of the parameters. */
enum op_direction { OP_FORWARD, OP_DATA, OP_WEIGHTS, OP_DIRECTIONS };
/* How: strategy.h chooses for each direction; a kind that has but one fast variant is tiled in all or in
 * none. */
enum op_variant { OP_NAIVE, OP_TILED, OP_WINOGRAD, OP_CLBLAST, OP_VARIANTS };

/* What conv2d and linear multiply in, where their tensors have 32 lanes: floats, or floats rounded to 10 bits
   of fraction by matrix units, whose sums are floats. */
enum op_precision { OP_FP32, OP_TF32 };

/* Those that other kernels can do behind theirs, in the order of kernels/common.cl. */
enum op_activation { OP_NO_ACTIVATION, OP_RELU, OP_SIGMOID, OP_TANH };

/* What follows a layer and is done to its result before that is stored, bit for bit what these layers would
   do by themselves: first a batch_norm with running statistics, then an activation. See ops/epilogue.h. */
struct op_epilogue {
        const struct op *norm; /* borrowed; NULL: none */
        struct view norm_params[OP_MAX_PARAMS];
        enum op_activation activation;
};

/* Epilogues that a kind's forward can do. */
enum { OP_TAKES_ACTIVATION = 1, OP_TAKES_NORM = 2 };

/* Everything bound. `dev` may be recording. Tensors have the plan's `lanes`; batch is x[0].n. */
struct op_call {
        struct dev *dev;
        enum op_variant variants[OP_DIRECTIONS];
        enum op_precision precision;
        bool training; /* false in evaluation, and in backward for a frozen op with running statistics: its
                          forward used them */
        struct tensor x[OP_MAX_INPUTS], y;
        struct tensor dx[OP_MAX_INPUTS], dy; /* backward only; dx[i].at.buf NULL: nobody wants it */
        bool accumulate_dx[OP_MAX_INPUTS];   /* add to dx instead of overwriting it */
        bool accumulate_dparams;             /* add to dparams instead of overwriting (micro-batches) */
        struct view params[OP_MAX_PARAMS];
        struct view dparams[OP_MAX_PARAMS]; /* backward only; buf NULL: frozen or not trainable */
        struct view saved[OP_MAX_SAVED];
        struct view workspace;
        bool params_stay;            /* and the workspace too from run to run: packing them once is enough */
        struct op_epilogue epilogue; /* forward only */
        struct view vars;            /* the step's variables, see below */
        int layer;                   /* the node's number in its net: layers draw different numbers */
};

/* Words of the vars buffer that kernels may read: what changes from step to step without a new launch.
   OP_VAR_FIRST: where the micro-batch begins within the step's batch; OP_VAR_SCALE: the loss's scale, a
   float; OP_VAR_SEED: the job's seed, two words, low first; OP_VAR_UPDATE: the optimizer's, four floats. */
enum op_var {
        OP_VAR_STEP,
        OP_VAR_FIRST,
        OP_VAR_SLOT,
        OP_VAR_SCALE,
        OP_VAR_SEED = 8,
        OP_VAR_UPDATE = 12,
        OP_VARS = 16
};

struct op_kind {
        const char *type; /* "conv2d", as in JSON */
        const char *doc;  /* one line for people */
        size_t args_bytes;
        const struct op_field *fields; /* ended by a NULL name */
        int num_inputs;
        unsigned backward_reads;       /* OP_READS_… */
        bool in_place;                 /* y may be x[0], dx[0] may be dy (backward must then not read x[0]) */
        bool forward_in_place;         /* y may be x[0] where there is no backward */
        unsigned epilogues;            /* OP_TAKES_…; `flops` leaves them out */
        enum op_activation activation; /* of kinds that are one of these */
        bool view;                     /* y is x's memory under another shape: no launch at all */
        bool mixes_samples; /* in training each sample's y depends on the others; padding then becomes zeros
                             */
        bool internal;      /* made by the net itself where it joins branches: no layer type of a user's */
        /* From op->in and op->args: checks them, sets op->out and op->params. The pointer in an error is the
           field's own ("/kernel_size"). */
        int (*shape)(struct op *op, struct err *e);
        /* NULL: needs nothing. */
        void (*needs)(
                const struct op *op, int n, int lanes, const struct dev_info *info, struct op_needs *ret);
        /* Which variants there are for this layer, a bit 1 << OP_… each. NULL: naive and tiled. */
        unsigned (*variants)(
                const struct op *op, enum op_direction direction, int lanes, const struct dev_info *info);
        /* Which one a batch of n takes where nobody has measured it: by counting what each does. NULL: tiled.
         */
        enum op_variant (*prefer)(const struct op *op, enum op_direction direction, int n, int lanes,
                const struct dev_info *info);
        /* Whether two layers run the same programs in this variant, Winograd's: what the selftest finds of
           one then holds for the other. NULL where there are no such variants. */
        bool (*same_programs)(const struct op *a, const struct op *b, enum op_variant v);
        /* Floating point operations of a forward pass over one sample, a multiply-add counted as two. NULL:
           none. */
        int64_t (*flops)(const struct op *op);
        /* NULL where `view`. */
        int (*forward)(const struct op *op, const struct op_call *c, struct err *e);
        int (*backward)(const struct op *op, const struct op_call *c, struct err *e);
        /* The same on the host in double, for tests and the selftest: see ref/ref.h. */
        const struct ref_op *ref;
        /* Two or three, odd and tiny (a few thousand multiply-adds), that reach every kernel. NULL where
         * `view`. */
        const struct op_example *examples;
        /* More of them, for kernels that only tensors of one lane have. NULL: none. */
        const struct op_example *single_examples;
        /* More of them, for programs that many first jobs need: compiled ahead (selftest_compile). NULL:
         * none. */
        const struct op_example *likely_examples;
};

extern const struct op_kind *const op_kinds[];
extern const int op_kinds_count;

/* A layer type. NULL where there is none; kinds that are internal are none. */
const struct op_kind *op_kind_find(const char *type);

/* `args` (kind->args_bytes, copied) may be NULL where all fields have defaults. */
int op_create(const struct op_kind *kind, const void *args, const struct shape *in, int num_inputs,
        struct op **ret, struct err *e);
void op_destroy(struct op *op);
int64_t op_param_count(const struct op_param *p); /* elements */

/* The variant that the call asks for in this direction, or the best that there is for its lanes and
   precision. Of kinds that have `variants`. */
enum op_variant op_variant_of(const struct op *op, const struct op_call *c, enum op_direction direction);

static inline bool op_is_tiled(const struct op_call *c)
{
        return c->variants[OP_FORWARD] == OP_TILED;
}

static inline int op_ceil_div(int a, int b)
{
        return (a + b - 1) / b;
}

/* Floats that a work-item takes of kernels that are written once for floats and for GPUs' vectors, whose
   option TILED is that of op_is_tiled; ITEM_WIDTH in kernels/common.cl. */
static inline int op_item_width(const struct op_call *c, int lanes)
{
        return op_is_tiled(c) && lanes == 32 ? 4 : 1;
}

/* Work-items of a work-group that shares the 32 lanes of its tensors: the largest power of two up to `most`
   that the device has. 0: not as many as lanes. */
int op_group_items(const struct dev_info *info, int most);

/* Compile options that every op passes: "-DLANES=16". `out` holds OP_OPTIONS bytes; extra may be NULL. */
enum { OP_OPTIONS = 256 };
const char *op_options(char *out, int lanes, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* A kernel of kernels/layers.cl, of the program for these lanes with or without TILED. */
struct launch op_begin_layer(struct dev *d, int lanes, bool tiled, const char *kernel);

#endif
