/* The data sets of a state folder, STATE/datasets/NAME.cnnd. Of each the description is read when it is first
   asked for; no file is mapped. Known ones whose source files are installed (Fashion-MNIST) are imported at
   start in a child process; until that has ended they are listed with "state":"importing" and jobs that name
   them get ERR_UNAVAILABLE. One thread. */
#ifndef CNND_DATASETS_H
#define CNND_DATASETS_H

#include "base/err.h"
#include "daemon/common/listing.h"
#include "daemon/common/children.h"
#include "daemon/people/identity.h"
#include "daemon/store/store.h"
#include "data/dataset.h"

#include <cjson/cJSON.h>
#include <stdbool.h>

struct datasets;

/* Reads the folder and starts the imports that are due. `kids` and `store` are borrowed. */
int datasets_create(const char *state_dir, struct children *kids, struct store *store, struct datasets **ret,
        struct err *e);
void datasets_destroy(struct datasets *ds);

/* True while an import of datasets_create goes on: the service counts as starting. */
bool datasets_importing(const struct datasets *ds);
/* An import of those that found the disk full is tried again once there is more room; any that failed, a few
   seconds later at the earliest, when somebody asks for the data set. */
void datasets_tick(struct datasets *ds, int64_t now_ms);
int datasets_timeout_ms(const struct datasets *ds, int64_t now_ms);
void datasets_ask(struct datasets *ds, const char *name);

/* 0 when there is the data set and it is open to `who`; ERR_NOT_FOUND for either, alike. What came with the
   machine has no owner: everybody may read it, and operators may remove it. Another one of which no row tells
   (its file was laid into the folder, or a database put back that is older) is unsettled: only operators see
   it, until datasets_settle, also in another process, or an operator's datasets_adopt. */
int datasets_see(struct datasets *ds, const struct identity *who, const char *name, struct err *e);

/* An array of the data set objects that are open to `who`, by name:
   {"name","user":null (everybody's)|"…" ("":
   unsettled),"state":"ready"|"importing"|"failed"|"missing","bytes","shape":[c,h,w],"type",
   "classes":[…],"num_classes","train","val","class_counts":{"train":[…],"val":[…]},"source","import"
   (recipe.h, null for one that came with the machine),"error"}. It may lack what there was no memory for:
   json_fell_short. */
cJSON *datasets_list(struct datasets *ds, const struct identity *who, struct listing *l);
/* Calls `each` for the names of all of them. */
void datasets_names(struct datasets *ds, const struct identity *who,
        void (*each)(void *ctx, const char *name), void *ctx);
/* One of them. ERR_NOT_FOUND. */
int datasets_get(struct datasets *ds, const char *name, cJSON **ret, struct err *e);
/* Takes the data set file `path`, in the same file system, as `name`, for good: renamed over the
   one that may stand there, which keeps its owner; one that is new or unsettled is owned by `who`. What is
   wrong with the file is ERR_INTERNAL: an import made it. ERR_STATE while a known one is imported. */
int datasets_adopt(struct datasets *ds, const char *name, const char *path, const struct identity *who,
        bool *ret_created, struct err *e);
/* 0 where `who` may put a data set of that name: there is none, or it is theirs. ERR_EXISTS; for everybody
   where it is the name of a known one that is there or would be at the next start. */
int datasets_may_replace(struct datasets *ds, const struct identity *who, const char *name, struct err *e);
/* Removes it; jobs that have it mapped in their worker are not disturbed, but the API asks jobs first
   (jobs_spare_dataset). A known one comes back at the next start. ERR_NOT_FOUND; ERR_STATE while importing;
   ERR_DENIED for one without an owner, unless `who` is an operator. */
int datasets_delete(struct datasets *ds, const struct identity *who, const char *name, struct err *e);

/* The data set, its images and labels in datasets_path's file alone, borrowed until datasets_delete.
   ERR_NOT_FOUND, ERR_UNAVAILABLE while importing (with what to do in the message), ERR_SYNTAX for a damaged
   file. */
int datasets_find(struct datasets *ds, const char *name, const struct dataset **ret, struct err *e);
/* "STATE/datasets/NAME.cnnd", malloc'ed. NULL when memory is out. */
char *datasets_path(const struct datasets *ds, const char *name);

/* Makes the unsettled data set `name` that of `user`, or everybody's by "". A daemon may run on the folder.
   ERR_NOT_FOUND without a file; ERR_EXISTS where it is settled. */
int datasets_settle(
        const char *state_dir, struct store *store, const char *name, const char *user, struct err *e);

/* The import role's work, in the child: the known data set `name` into the state folder. */
int datasets_import(const char *state_dir, const char *name, struct err *e);

#endif
