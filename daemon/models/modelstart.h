/* Bringing models' files and rows together at a start: they may disagree after a killed front, a restored
   database, or when a file system is not mounted. One thread. */
#ifndef CNND_MODELSTART_H
#define CNND_MODELSTART_H

#include "base/err.h"
#include "daemon/models/models.h"

/* Sets rows and files right, and notes which files it has not seen. */
int modelstart_read(struct models *ms, struct err *e);

#endif
