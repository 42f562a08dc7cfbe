/* A class map in a worker: from the front's order to the body that its client gets. The engine thread alone;
   the wire is in worker.h. */
#ifndef CNND_MAPPER_H
#define CNND_MAPPER_H

#include "base/chan.h"
#include "base/err.h"
#include "base/str.h"
#include "daemon/worker/loaded.h"
#include "device/dev.h"

struct mapper;

/* Takes the message and places its image on the device. `d` and `l` are borrowed and must outlive it. */
int mapper_create(
        struct dev *d, struct loaded *l, struct chan_message *m, struct mapper **ret, struct err *e);
void mapper_destroy(struct mapper *mp);

/* One batch, its size by how long the last one took. */
int mapper_step(struct mapper *mp, struct err *e);
/* Windows classified and in all. */
void mapper_progress(const struct mapper *mp, int *ret_done, int *ret_windows);
/* After the last window: appends the JSON or PNG. */
int mapper_body(const struct mapper *mp, struct str *out, struct err *e);

#endif
