/* Imports of data sets that people send: each in a child process, and a data set only once it is whole. Until
   then GET knows nothing of a new one, and one that is replaced stays as it was. A front or child that is
   killed leaves nothing: all is in STATE/tmp. One thread. */
#ifndef CNND_IMPORTS_H
#define CNND_IMPORTS_H

#include "base/err.h"
#include "daemon/store/carry.h"
#include "daemon/common/children.h"
#include "daemon/datasets/datasets.h"
#include "daemon/people/identity.h"
#include "daemon/people/quota.h"

#include <cjson/cJSON.h>
#include <stdbool.h>

enum { IMPORTS_MAX = 2, IMPORTS_SHARE = 1 }; /* at once; of one user, unless an operator */

struct imports;

/* Told what import `id` comes to; `data` is borrowed.
     progress  {"phase":"reading"|"writing","split":null|"train"|"val","files","images","written" (of the
               images),"bytes" (of the archive),"total_bytes"}
     end       {"state":"succeeded","created":true,"dataset":{…}}, or {"state":"failed"|"cancelled",
               "status":422,"error":"…"}; once, the last */
typedef void (*imports_hook)(void *ctx, int id, const char *event, const cJSON *data);

/* All borrowed. NULL when memory is out. */
struct imports *imports_create(const char *state_dir, struct children *kids, struct carries *carries,
        struct datasets *datasets, struct quota *quota);
void imports_destroy(struct imports *is);

/* All called from service_run. */
struct imports_caller {
        struct identity who; /* the owner of what is new */
        void *ctx;
        /* Once, may be NULL; `set` (borrowed) is the data set's object, NULL where `failed` tells why. */
        void (*done)(void *ctx, const cJSON *set, bool created, const struct err *failed);
        /* True when nobody waits any more: the import is stopped. May be NULL. */
        bool (*gone)(void *ctx);
        /* Whether `name` may be replaced now: ERR_STATE while a job uses it. */
        void *free_ctx;
        int (*free)(void *free_ctx, const char *name, struct err *e);
};
/* Starts one. `path` is the uploaded file, removed at the end, also on failure; `options` as in
   import_role.h, copied; *ret_id is its number, above 0. ERR_INVALID for the name, ERR_EXISTS where it is
   another user's, ERR_STATE while it is being imported or used, ERR_QUOTA when IMPORTS_SHARE of his go on,
   ERR_UNAVAILABLE when IMPORTS_MAX do. `done` may bring the quota's ERR_DISK or ERR_TOO_LARGE. */
int imports_start(struct imports *is, const char *name, const char *path, const cJSON *options,
        const struct imports_caller *caller, int *ret_id, struct err *e);

void imports_set_hook(struct imports *is, imports_hook hook, void *ctx);
/* The import of `name` that goes on and is open to `who`: its owner's or an operator's; 0 for none. */
int imports_find(const struct imports *is, const struct identity *who, const char *name);
/* How far it is, borrowed; NULL before it has told. */
const cJSON *imports_progress(const struct imports *is, int id);
/* Stops it: nothing of it stays, the name is free at once, what stood under it is as it was. `done` gets
   ERR_CANCELLED with `why` from a later service_run. None of that number: nothing. */
void imports_stop(struct imports *is, int id, const char *why);

void imports_tick(struct imports *is);
int imports_timeout_ms(const struct imports *is);

#endif
