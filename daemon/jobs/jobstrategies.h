/* What each training job is bound to: its layers' variants, told by its first start and given to every later
   one, so that it stays bit-identical when the device's tuning changes. Rows of the table strategies. The
   front's thread. */
#ifndef CNND_JOBSTRATEGIES_H
#define CNND_JOBSTRATEGIES_H

#include "daemon/store/store.h"

#include <cjson/cJSON.h>

/* `json` is {LAYER: VARIANTS}, else ERR_INVALID. Within the caller's transaction. */
int jobstrategies_write(struct store *s, int64_t job, const cJSON *json, struct err *e);
/* *ret is the caller's; NULL where the job is bound to nothing yet. */
int jobstrategies_read(struct store *s, int64_t job, cJSON **ret, struct err *e);
/* Within the caller's transaction; that there are none is no error. */
int jobstrategies_delete(struct store *s, int64_t job, struct err *e);

#endif
