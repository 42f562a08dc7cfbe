/* The most multiply-adds a device does in a second. */
#ifndef CNND_DEVICE_PEAK_H
#define CNND_DEVICE_PEAK_H

#include "device/dev.h"

/* GFLOP/s, a multiply-add counted as two: the best of some runs of kernels/peak.cl. */
int device_peak(struct dev *d, double *ret_gflops, struct err *e);

#endif
