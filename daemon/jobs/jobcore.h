/* Internals of `struct jobs`, for jobs.c, submit.c and the job*.c files only; jobs.h is the public part. */
#ifndef CNND_JOBCORE_H
#define CNND_JOBCORE_H

#include "daemon/jobs/jobfolder.h"
#include "daemon/jobs/jobline.h"
#include "daemon/jobs/jobs.h"
#include "daemon/jobs/jobsweep.h"
#include "daemon/jobs/jobtx.h"

#include <stdbool.h>
#include <stdint.h>

struct jobs {
        struct jobtx_home home;
        char *state_dir; /* owned */
        struct quota *quota;
        struct datasets *datasets;
        struct models *models;
        struct supervisor *supervisor;
        struct carries *carries;
        struct reserve *reserve;
        struct jobcore_carried *carried;       /* owned */
        struct shares *shares;                 /* owned */
        int64_t wall_ahead_ms;                 /* of the steady clock, at the start */
        int64_t batch[SUPERVISOR_MAX_DEVICES]; /* images of a step of the job there, 0 where it does not train
                                                */
        struct jobline_cache line;
        struct jobsweep sweep;
        double slice_seconds;
        struct jobs_stats stats;
        bool draining;
        bool changed; /* something the scheduler has not looked at: a queued job, a wish */
};

/* Of a job that saves one, and that nobody has cancelled, the model's file is placed before the transaction
   that records it: see models.h. `placed` is then its name, and models_placed follows. *ret_unplaced becomes
   true where it was the placing that failed. Where models/ lies on another file system it is copied first:
   ERR_UNAVAILABLE with *ret_under_way until that is done. */
int jobcore_place_model(struct jobs *js, int64_t id, char placed[REQUEST_NAME_MAX + 1], bool *ret_unplaced,
        bool *ret_under_way, struct err *e);
/* Within the transaction: the row of that model, with the metrics that `r` has; r->model becomes its name.
   Nothing of a job that saves none. */
int jobcore_record_model(struct jobs *js, struct job_row *r, struct err *e);
/* The job runs no more: a copy is not needed any longer. */
void jobcore_drop_copy(struct jobs *js, int64_t id);
/* All of them, with the children gone. */
void jobcore_forget_copies(struct jobs *js);

#endif
