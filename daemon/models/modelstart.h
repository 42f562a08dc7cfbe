/* What a start finds of models: files and rows, which a killed front, a database that was put back or a file
   system that is not mounted may have left apart. One thread. */
#ifndef CNND_MODELSTART_H
#define CNND_MODELSTART_H

#include "base/err.h"
#include "daemon/models/models.h"

/* Sets rows and files right, and notes which files it has not seen. */
int modelstart_read(struct models *ms, struct err *e);

#endif
