/* How long a layer takes on a device, direction by direction and variant by variant, on numbers of its own.
 */
#ifndef CNND_STOPWATCH_H
#define CNND_STOPWATCH_H

#include "ops/op.h"

#include <time.h>

struct stopwatch;
/* Makes all tensors of the layer for batches of n on the device. Device and layer are borrowed.
   ERR_DEVICE_MEMORY where they do not fit. */
int stopwatch_create(
        struct dev *d, const struct op *op, int n, int lanes, struct stopwatch **ret, struct err *e);
void stopwatch_destroy(struct stopwatch *w);

/* The launches of one direction, recorded; owned by the caller. */
int stopwatch_record(struct stopwatch *w, enum op_direction direction, enum op_variant variant,
        struct launch_list **ret, struct err *e);
/* The best time of a run, in seconds of `clock`, out of three and as many as fit into `least` seconds, fewer
   of long ones, after one that compiles: what disturbs a run only ever makes it longer. */
int stopwatch_time(struct stopwatch *w, struct launch_list *list, double least, clockid_t clock, double *ret,
        struct err *e);

#endif
