/* Bringing data sets' files and rows together at a start: they may disagree after a killed front, a restored
   database, or when a file system is not mounted. One thread. */
#ifndef CNND_DATASETSTART_H
#define CNND_DATASETSTART_H

#include "base/err.h"
#include "daemon/datasets/datasets.h"

/* Fills the empty list of `ds`, and sets rows right. */
int datasetstart_read(struct datasets *ds, struct err *e);

#endif
