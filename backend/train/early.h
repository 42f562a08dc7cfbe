/* Launches that a first job needs besides its layers, made ahead so that the driver has compiled them. */
#ifndef CNND_EARLY_H
#define CNND_EARLY_H

#include "base/err.h"
#include "device/dev.h"

/* Gathers images of bytes and their labels, and takes a step of SGD and of Adam, on a few zeros. For a second
   process (role `compiler`): what is computed goes nowhere. */
int early_compile(struct dev *d, struct err *e);

#endif
