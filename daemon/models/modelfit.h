/* Whether a model's file is the one that its row tells of. One thread. */
#ifndef CNND_MODELFIT_H
#define CNND_MODELFIT_H

#include "base/err.h"
#include "daemon/models/modelfile.h"
#include "daemon/store/store.h"

enum modelfit {
        MODELFIT_NONE,  /* there is no row */
        MODELFIT_OTHER, /* it is of another file */
        MODELFIT_COPY,  /* the file is the row's, which has to be set to it: modelrow_set_file */
        MODELFIT_SAME,
        MODELFIT_UNREAD /* it cannot be read, so that nobody can tell; the log says why */
};

/* Reads of the file where it is not as the row's was left, and where the row has no mark; ret_mark is ""
   where it did not, or could not. ERR_NO_MEMORY. */
int modelfit_look(struct store *s, const struct modelfile_home *home, const char *name,
        const struct modelfile_stat *file, enum modelfit *ret, char ret_mark[MARK_DIGITS + 1], struct err *e);

#endif
