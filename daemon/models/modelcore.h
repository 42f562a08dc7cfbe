/* Internals of `struct models`, for models.c and the model*.c files only; models.h is the public part. */
#ifndef CNND_MODELCORE_H
#define CNND_MODELCORE_H

#include "daemon/models/modelfile.h"
#include "daemon/models/modelfit.h"
#include "daemon/models/models.h"
#include "train/request.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A model whose file the start did not find or could not read: what stands there later may be another's. */
struct unseen {
        char name[REQUEST_NAME_MAX + 1];
        struct modelfile_stat file; /* the one that was looked at last; all zero for none */
        enum modelfit fit;          /* what it was: a MODELFIT_COPY's row could not be set to it */
        int64_t looked_ms;
};

struct models {
        struct modelfile_home files;
        struct store *store;     /* borrowed */
        struct quota *quota;     /* borrowed */
        struct decode *decode;   /* borrowed */
        struct carries *carries; /* borrowed */
        struct put *puts;
        struct model_memory known;
        bool unsure;           /* it holds what a transaction may take back */
        struct unseen *unseen; /* owned; by name */
        size_t unseen_count, unseen_room;
};

/* Removes the row. */
int modelcore_drop(struct models *ms, const char *name, struct err *e);
/* Notes that the start has not seen the model's file. May be repeated. */
int modelcore_miss(struct models *ms, const char *name, struct err *e);
/* Whether another file than the model's stands where the start did not see one: ERR_UNAVAILABLE. 0, too,
   where nothing stands there, or what cannot be read. Reads of the file, once, where it is not as its row was
   left.
 */
int modelcore_other(struct models *ms, const char *name, struct err *e);
/* The same, but ERR_UNAVAILABLE too where it cannot be read. */
int modelcore_known(struct models *ms, const char *name, struct err *e);

#endif
