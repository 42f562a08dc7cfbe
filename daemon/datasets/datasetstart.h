/* What a start finds of data sets: files and rows, which a killed front, a database that was put back or a
   file system that is not mounted may have left apart. One thread. */
#ifndef CNND_DATASETSTART_H
#define CNND_DATASETSTART_H

#include "base/err.h"
#include "daemon/datasets/datasets.h"

/* Fills the empty list of `ds`, and sets rows right. */
int datasetstart_read(struct datasets *ds, struct err *e);

#endif
