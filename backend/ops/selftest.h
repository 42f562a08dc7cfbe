/* Known answers before work: every op on this device against the reference in double, in the variant that
   jobs run: the tiled one, and where that is wrong the naive one; others before the first layer that takes
   them. OpenCL drivers do return wrong numbers. */
#ifndef CNND_SELFTEST_H
#define CNND_SELFTEST_H

#include "base/err.h"
#include "device/dev.h"
#include "ops/op.h"

#include <cjson/cJSON.h>
#include <stdbool.h>

/* Runs them all with the device's own lanes: well below a tenth of a second once the kernel cache is filled,
   some seconds on PoCL before. *ret_report, owned by the caller, is
   {"passed":n,"failed":[{"op","variant":"naive"|"tiled"|"winograd","what","max_error"}],"seconds":s}; it is
   set where the selftest ran to its end, whatever it found, so also with ERR_DEVICE. A wrong fast variant is
   switched off on this device from now on and is no error; a wrong naive one is ERR_DEVICE: the device must
   take no jobs. Here and below tensors that find no room are ERR_DEVICE_MEMORY: nothing was found out.

   CNND_TEST_LIE=OP in the environment is for tests: the results of that op's fast variants are read falsely,
   as from a driver that computes wrong ("loss" names the loss). */
int selftest_run(struct dev *d, cJSON **ret_report, struct err *e);

/* For a second process, whose driver keeps what it compiles where the first finds it: the same from the last
   op to the first, until both have met; then what many first jobs and single images need, each layer's last
   launch first. What it finds is the first's to say. */
int selftest_compile(struct dev *d, struct err *e);

/* The same with other lanes, once: before the first plan that has them. Small batches have lanes 1 (plan.h),
   and many workers never see one. */
int selftest_lanes(struct dev *d, int lanes, struct err *e);

/* Whether conv2d and linear multiply right in tf32, once: before the first network that does. ERR_DEVICE
 * where not.
 */
int selftest_tf32(struct dev *d, struct err *e);

/* Whether a device that has passed still computes, after a call failed: one op again. ERR_LOST, or the error
   that came. */
int selftest_check(struct dev *d, struct err *e);

/* The variants beyond tiled that a layer takes, once for each program that they run: before the first plan
   that has it. A wrong one is switched off on this device and is no error: ask selftest_allows. */
int selftest_layer(struct dev *d, const struct op *op, const enum op_variant v[OP_DIRECTIONS], struct err *e);

/* False where the selftest found this variant wrong on this device. */
bool selftest_allows(const struct dev *d, const struct op_kind *kind, enum op_variant variant);
bool selftest_allows_loss(const struct dev *d, enum op_variant variant);

#endif
