/* Measures in which variant a layer runs fastest. */
#ifndef CNND_TUNER_H
#define CNND_TUNER_H

#include "ops/strategy.h"

/* Seconds of a batch, of all cores together on a CPU, by direction and variant; 0 where it was not measured.
 */
struct tuner_times {
        double seconds[OP_DIRECTIONS][OP_VARIANTS];
};

/* Tries every fast variant of every direction that has several, on this device, for batches of n; *ret holds
   for each direction the fastest, or what strategy_prefer says where there is nothing to choose. The
   selftest's findings are respected. `times` may be NULL. ERR_DEVICE_MEMORY where the layer's tensors do not
   fit. */
int tuner_measure(struct dev *d, const struct op *op, int n, int lanes, enum op_variant ret[OP_DIRECTIONS],
        struct tuner_times *times, struct err *e);

/* Whether the device leaves a choice in some direction, as far as it has passed the selftest and has
   parameters for CLBlast. */
bool tuner_can_choose(const struct dev *d, const struct op *op, int lanes);

/* Tries parameters for CLBlast on a device that may use it (dev_info.clblast), for about `seconds`, and at
   least one set: each compiles for seconds. What multiplies wrong, or not at all, is passed over. *ret holds
   the fastest, and it is in force. ERR_NOT_FOUND where there is none: then none is in force. */
int tuner_clblast(
        struct dev *d, double seconds, struct clblast_params *ret, double *ret_gflops, struct err *e);

#endif
