/* Stored models: STATE/models/NAME.safetensors and one row each. One thread (the front's).

   A row and its file change in this order: the file is renamed into place and its folder fsynced, then the
   row is committed in the transaction that also tells of it (the end event of a training job). A kill between
   the two leaves a file with the older row, which models_create reads again from the file, or a new one
   without a row, which it removes: nobody was told of it. What else has no row comes from elsewhere (a copy,
   a database that was put back) and is taken up without an owner; of a file that was only copied the row
   stays, and so does that of a file that is not there: it may lie on a file system that is not mounted. */
#ifndef CNND_MODELS_H
#define CNND_MODELS_H

#include "base/err.h"
#include "daemon/common/listing.h"
#include "daemon/store/carry.h"
#include "daemon/decoder/decode.h"
#include "daemon/people/identity.h"
#include "daemon/models/modelfacts.h"
#include "daemon/people/quota.h"
#include "daemon/store/store.h"
#include "model/safetensors.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

struct models;

/* Borrows store, quota, decode and carries; copies state_dir. */
int models_create(const char *state_dir, struct store *store, struct quota *quota, struct decode *decode,
        struct carries *carries, struct models **ret, struct err *e);
void models_destroy(struct models *ms);

/* 0 when there is the model and it is open to `who`; ERR_NOT_FOUND for either, alike. */
int models_see(struct models *ms, const struct identity *who, const char *name, struct err *e);
/* ERR_EXISTS when the name is another's, or will be by an upload that is being checked; models_known's
   ERR_UNAVAILABLE of another file, which no job takes the place of. */
int models_may_save(struct models *ms, const struct identity *who, const char *name, struct err *e);

/* Of the model objects that are open to `who`, by name, the part that *l asks for, an array:
   {"name","architecture","input":[c,h,w],"classes":[…],"preprocessing",
   "metrics","job","user","created_at","bytes","error"}; "job" is null for a model that was uploaded, "error"
   unless its file is missing. In lists what is stored as JSON is cJSON_Raw. */
int models_list(struct models *ms, const struct identity *who, struct listing *l, cJSON **ret, struct err *e);
/* The same, with no more than its name and what is wrong with its file (NULL for nothing). */
int models_names(struct models *ms, const struct identity *who, struct listing *l,
        void (*each)(void *ctx, const char *name, const struct err *error), void *ctx, struct err *e);
/* One of them. ERR_NOT_FOUND. The caller frees *ret. */
int models_get(struct models *ms, const char *name, cJSON **ret, struct err *e);
/* Removes row and file. ERR_NOT_FOUND; models_known's ERR_UNAVAILABLE of another file. */
int models_delete(struct models *ms, const char *name, struct err *e);
int models_exists(struct models *ms, const char *name, bool *ret, struct err *e);

/* The weights file, open for reading; the caller closes *ret_fd. What was opened stays whole though the model
   is replaced or deleted meanwhile. ERR_NOT_FOUND, models_look's ERR_UNAVAILABLE. */
int models_open(struct models *ms, const char *name, int *ret_fd, uint64_t *ret_size, struct err *e);
/* What befell a file that was whole when it was stored, and that who asks cannot mend: ERR_UNAVAILABLE; want
   of memory stays what it is. */
int models_damaged(const char *name, const struct err *why, struct err *e);
/* The head of that file, read; *ret is safetensors_close's. models_open's errors and models_damaged's. */
int models_head(struct models *ms, const char *name, struct safetensors **ret, struct err *e);

/* Called once, from service_run: `e` is NULL on success. `model` is borrowed for the call. */
typedef void (*models_done)(void *ctx, const cJSON *model, bool created, const struct err *e);
/* Makes or replaces a model of `who` (a replaced one stays its owner's) from a safetensors file. `path` is a
   file below STATE/tmp that the caller wrote; it is taken (renamed or removed in every case). `overrides`
   (borrowed, NULL for none) may hold "architecture", "input", "classes" and "preprocessing", which win over
   the file's metadata. The file is read in the decoder process alone. models_may_save's errors, but that an
   operator's takes the place of whatever file is there. Returns 0 when `done` will be called, else an error
   and `done` is not called. */
int models_put(struct models *ms, const char *name, const struct identity *who, const char *path,
        const cJSON *overrides, models_done done, void *ctx, struct err *e);

/* --- what classify.c, jobs.c and sched.c call --- */

/* ERR_NOT_FOUND. Borrowed until the next call of any of these functions. */
int models_facts(struct models *ms, const char *name, const struct model_facts **ret, struct err *e);
/* Whether there is a known model's file, and it is the model's: ERR_UNAVAILABLE with the reason. */
int models_look(struct models *ms, const char *name, struct err *e);
/* The latter alone: ERR_UNAVAILABLE where the start did not find the file, or could not read it, and what
   stands there now is another, of which the next start tells whose it is, or cannot be read yet. */
int models_known(struct models *ms, const char *name, struct err *e);
/* "STATE/models/NAME.safetensors", malloc'ed. NULL when memory is out. */
char *models_path(const struct models *ms, const char *name);
/* The folder that they lie in, borrowed. */
const char *models_dir(const struct models *ms);
/* Saving a job's model, first: puts `file` in place, durably, and leaves it where it is. May be repeated.
   models_known's ERR_UNAVAILABLE of another file, which nothing takes the place of. */
int models_place(struct models *ms, const char *name, const char *file, struct err *e);
/* At last, where that was done: the row is committed, or the file that was there before comes back. */
void models_placed(struct models *ms, const char *name, bool committed);
/* Between, within the caller's transaction: the row, read from the placed file's metadata. `metrics` is
   borrowed; job 0 for none. A row that was there keeps its owner. May be repeated. */
int models_record(struct models *ms, const char *name, const char *user, int64_t job, const cJSON *metrics,
        struct err *e);

#endif
