/* The scheduler: which queued job goes to which ready device, and what its worker says of it. One thread.

   Of the highest priority, the user with the smallest share of device seconds goes next, with the oldest job
   that fits (jobline.h); a job that lost its worker keeps its place. A training job that has run for
   `slice_seconds` stops at a checkpoint, and waits again, while a job waits that goes before it by the same
   rule; one device yields at a time.

   A job whose run has ended keeps its device until its model is in its place: while the disk is full; for a
   minute where anything else is in the way, then the job fails. A cancel ends the waiting. */
#ifndef CNND_SCHED_H
#define CNND_SCHED_H

#include "base/chan.h"
#include "daemon/jobs/jobs.h"
#include "daemon/devices/supervisor.h"

#include <stdbool.h>
#include <stdint.h>

struct sched;
/* All borrowed. NULL when memory is out. */
struct sched *sched_create(
        struct jobs *js, struct supervisor *sv, double checkpoint_seconds, double slice_seconds);
void sched_destroy(struct sched *sc);

/* From the supervisor's hooks. A message about a job that the device does not have is dropped; ERR_NO_MEMORY
   when one could not be taken, which is then to come again. */
int sched_message(struct sched *sc, int device, struct chan_message *m);
void sched_lost(struct sched *sc, int device, const char *why, bool unread);
/* Commits waiting events, passes stops and cancels on, starts queued jobs on free devices. */
void sched_tick(struct sched *sc, int64_t now_ms);
int sched_timeout_ms(const struct sched *sc, int64_t now_ms);

/* Stop every running job with a checkpoint and start none. */
void sched_drain(struct sched *sc);
bool sched_idle(const struct sched *sc);

#endif
