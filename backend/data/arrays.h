/* Images and labels that come as arrays: NPZ, safetensors. */
#ifndef CNND_ARRAYS_H
#define CNND_ARRAYS_H

#include "data/intake.h"

/* "x_train" and the other names of import.h, without ".npy". */
bool arrays_is_name(const char *name);
/* A whole NPY of `len` bytes as an array without a name; ret->data points into it. Of npy.c. ERR_SYNTAX,
 * ERR_INVALID. */
int npy_array(const unsigned char *bytes, size_t len, struct import_array *ret, struct err *e);
/* All pairs among them into the intake, with classes named by their numbers. */
int arrays_read(struct intake *in, const struct import_array *arrays, int count, struct err *e);

#endif
