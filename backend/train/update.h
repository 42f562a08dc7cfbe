/* An optimizer on a device: its own numbers, and the recorded launches of one step. See kernels/optimizer.cl.
 */
#ifndef CNND_UPDATE_H
#define CNND_UPDATE_H

#include "device/buf.h"
#include "device/tensor.h"
#include "ops/op.h"
#include "train/optimizer.h"

/* Words of the step's variables from OP_VAR_UPDATE on, floats: what the gradient's direction is multiplied
   with, the weight of a gradient in the momentum, what is left of a decoupled decay, and the square root of
   Adam's second bias correction. */
enum update_var { UPDATE_RATE, UPDATE_GAIN, UPDATE_KEEP, UPDATE_SPREAD };

/* Device memory beside parameters and gradients, for `floats` trained parameters. */
struct update_needs {
        int num_states;
        uint64_t state_bytes; /* of each */
        uint64_t clip_bytes;  /* 0: no clipping */
};
void update_needs(const struct optimizer_spec *o, uint64_t floats, struct update_needs *ret);

/* Borrowed, and must outlive the update. `floats` is a multiple of NET_PARAM_ALIGN. */
struct update_memory {
        struct view params, grads, vars;
        uint64_t floats;
        int lanes; /* 16 chooses the kernels of CPU devices; 0: as the device has them */
};

struct update;
/* Takes the memory that it needs and records a step. Gradients are set to zero once: between parameters lie
   floats that nobody writes and that clipping sums up. The state is undefined until update_write_state. */
int update_create(struct dev *d, const struct optimizer_spec *o, const struct update_memory *m,
        struct update **ret, struct err *e);
void update_destroy(struct update *u);

/* Puts the variables of a step (steps done before it) at its rate `lr` into vars (OP_VARS words). */
void update_vars(const struct optimizer_spec *o, double lr, int64_t step, int32_t *vars);
/* Enqueues one step: clipping where asked for, and one launch over all parameters. */
int update_run(struct update *u, struct err *e);

/* The state on the host, `states` of `floats` each, one behind the other: as it is before the first step, to
   the device, and back. `state` may be NULL where there is none. */
void update_first_state(const struct optimizer_spec *o, uint64_t floats, float *state);
int update_write_state(struct update *u, const float *state, struct err *e);
int update_read_state(struct update *u, float *state, struct err *e);

#endif
