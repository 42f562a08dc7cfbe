/* Everything behind the HTTP API in one piece: state folder, database, data sets, models, devices, jobs. main
   builds one and the API calls its parts. One thread.

   State folder: cnnd.db, lock, reserve, jobs/ID/, models/, datasets/, cache/ (compiled kernels), tmp/
   (emptied at start; upload into it, it is on the same file system). */
#ifndef CNND_SERVICE_H
#define CNND_SERVICE_H

#include "base/err.h"
#include "daemon/store/carry.h"
#include "daemon/store/reserve.h"
#include "daemon/common/children.h"
#include "daemon/serving/classify.h"
#include "daemon/datasets/datasets.h"
#include "daemon/decoder/decode.h"
#include "daemon/datasets/imports.h"
#include "daemon/jobs/jobs.h"
#include "daemon/models/models.h"
#include "daemon/people/quota.h"
#include "daemon/jobs/sched.h"
#include "daemon/store/store.h"
#include "daemon/devices/supervisor.h"

#include <stdbool.h>

struct service_options {
        const char *state_dir;      /* made where missing; absolute */
        const char *device_spec;    /* "all" */
        const char *log_level;      /* of the children: "info" */
        double watchdog_seconds;    /* 60 */
        double checkpoint_seconds;  /* at most this long between two checkpoints of a job; 30 */
        struct quota_limits limits; /* of each user */
        double slice_seconds;       /* a job runs at least this long before it yields; 60 */
        double half_life_seconds;   /* of device seconds in a user's share; 86400 */
        struct batch_options batch; /* of classifications */
};

/* The parts, all owned; the API borrows them. */
struct service {
        char *state_dir;
        int lock_fd;
        struct store *store;
        struct reserve *reserve;
        struct quota *quota;
        struct children *kids;
        struct carries *carries;
        struct decode *decode;
        struct datasets *datasets;
        struct imports *imports;
        struct models *models;
        struct supervisor *supervisor;
        struct jobs *jobs;
        struct sched *sched;
        struct classify *classify;
        bool draining;
        bool was_ready; /* a device has been ready: it has started */
};

/* Opens the state folder and starts the children; returns before the devices are known (service_health).
   Waits up to 5 s for the lock of a front that was just killed; ERR_STATE when another one lives. */
int service_create(const struct service_options *o, struct service **ret, struct err *e);
/* Kills every child. Safe at any time: what is stored is complete. */
void service_destroy(struct service *s);

/* The event loop's seam: poll service_fd for POLLIN with service_timeout_us (-1: no timeout), then call
   service_run in every turn. Callbacks of all parts run inside service_run. */
int service_fd(const struct service *s);
int64_t service_timeout_us(const struct service *s);
void service_run(struct service *s);

/* 0 when requests can be served, else ERR_UNAVAILABLE: starting (devices being looked for, data sets
   imported, no worker ready yet), no device, all quarantined, draining; the message says which. A worker that
   is being restarted does not count. */
int service_health(const struct service *s, struct err *e);

/* SIGTERM: accept nothing more, stop running jobs at their next step with a checkpoint. */
void service_drain(struct service *s);
/* True when no job is left on a worker. The caller waits for it up to 10 s, then destroys the service all the
   same: a job that did not stop goes on from its last checkpoint. */
bool service_drained(const struct service *s);

#endif
