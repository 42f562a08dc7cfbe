/* A job's own augmentation and normalisation once on a device, against the reference: its kernels are
   compiled from its list of steps, so no selftest at start can have seen them. */
#ifndef CNND_TRANSFORM_TRIAL_H
#define CNND_TRANSFORM_TRIAL_H

#include "train/transform.h"

/* Small random images, 8-bit where `bytes`, through transform_run and transform_ref; resized on the way where
   `resized`. The spec's shape gives the channels, its n is ignored. A count of electrons or a place at an
   edge may fall to the other side by rounding, so only what is wrong under three seeds is ERR_DEVICE. Takes
   some milliseconds and gives all its device memory back.

   CNND_TEST_LIE=transform in the environment is for tests, as in ops/selftest.h. */
int transform_trial(
        struct dev *d, const struct transform_spec *spec, bool bytes, bool resized, struct err *e);

#endif
