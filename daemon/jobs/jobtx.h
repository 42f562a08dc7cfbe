/* One change of one job: its row and the events that tell of it, in one transaction, and the hook after it.

     struct jobtx tx;
     rc = jobtx_begin(&tx, home, id, e);
     if (rc == 0)
             rc = jobtx_state(&tx, JOB_RUNNING, NULL, e);
     return jobtx_end(&tx, rc, e);

   One thread (the front's). */
#ifndef CNND_JOBTX_H
#define CNND_JOBTX_H

#include "base/err.h"
#include "daemon/jobs/jobrow.h"
#include "daemon/jobs/jobs.h"
#include "daemon/store/store.h"

#include <stdbool.h>
#include <stdint.h>

/* What all changes share; part of struct jobs. */
struct jobtx_home {
        struct store *store; /* borrowed */
        jobs_hook hook;
        void *hook_ctx;
};

struct jobtx {
        struct jobtx_home *home;
        struct job_row row;  /* changed freely between begin and end */
        int64_t first_event; /* id of the first event added, 0 while there is none */
        bool open;
        bool ended;           /* it was before */
        bool stopped_early;   /* set before a job succeeds: said in its end event, with row.epoch */
        int64_t result_bytes; /* set before a job succeeds: of the file that it leaves */
};

/* Begins the transaction and reads the row. */
int jobtx_begin(struct jobtx *tx, struct jobtx_home *home, int64_t id, struct err *e);
/* Begins it for a new row, which is taken and inserted. */
int jobtx_begin_new(
        struct jobtx *tx, struct jobtx_home *home, struct job_row *row, const char *key, struct err *e);
/* Appends an event; `data` is one line of JSON. */
int jobtx_event(struct jobtx *tx, const char *event, const char *data, struct err *e);
/* Changes the state, with its times, and appends the `state` event, and for a final state the `end` event
   too. ERR_STATE where the table does not allow it. `reason` (for people, NULL for none) stands in the state
   event; of a failed job it becomes the job's error and is repeated in the end event. */
int jobtx_state(struct jobtx *tx, enum job_state to, const char *reason, struct err *e);
/* With rc 0 stores the row, commits and calls the hook; else, or when that fails, rolls back. Frees the row
   in every case. Returns rc or the commit's error. */
int jobtx_end(struct jobtx *tx, int rc, struct err *e);

/* Replays stored events; see jobs_events. */
int jobtx_replay(
        struct store *s, int64_t job, int64_t after, int limit, jobs_row row, void *ctx, struct err *e);

#endif
