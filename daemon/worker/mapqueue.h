/* The class maps of a worker: orders that wait, and the one in hand. Orders come from the channel's thread,
   the work is the engine thread's. */
#ifndef CNND_MAPQUEUE_H
#define CNND_MAPQUEUE_H

#include "base/chan.h"
#include "base/err.h"
#include "daemon/worker/loaded.h"
#include "daemon/worker/voice.h"
#include "device/dev.h"

#include <stdbool.h>
#include <stdint.h>

struct mapqueue;
/* Borrows `voice`. NULL when memory is out. */
struct mapqueue *mapqueue_create(const struct voice *voice);
void mapqueue_destroy(struct mapqueue *q);

/* Any thread: takes an order, see worker.h. ERR_NO_MEMORY. */
int mapqueue_post(struct mapqueue *q, struct chan_message *m, struct err *e);
/* Any thread: nobody waits for this request any more. */
void mapqueue_drop(struct mapqueue *q, int64_t request);
/* Any thread: windows classified of how many, of the map in hand; 0 of 0 for none. */
void mapqueue_progress(struct mapqueue *q, int *ret_done, int *ret_windows);
/* Any thread: whether there is something to do. */
bool mapqueue_waits(struct mapqueue *q);

/* Engine thread: whether a map is in hand, with its image on the device. */
bool mapqueue_busy(const struct mapqueue *q);
/* Engine thread: one batch, beginning the next map where none is in hand; sends what is finished. After an
   error mapqueue_fail follows. */
int mapqueue_work(struct mapqueue *q, struct dev *d, struct loaded *l, struct err *e);
/* Engine thread: sends why there is no map, and ends the one in hand. */
void mapqueue_fail(struct mapqueue *q, const struct err *why);

#endif
