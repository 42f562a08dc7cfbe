/* Jobs: submission, the state machine, the job object, and every event of every job.

   Crash-only: a function that changes a job has committed the change, together with the event that tells of
   it, before it returns or calls a hook. All functions belong to the front's one thread. None blocks for
   longer than a commit. */
#ifndef CNND_JOBS_H
#define CNND_JOBS_H

#include "base/err.h"
#include "daemon/store/carry.h"
#include "daemon/store/reserve.h"
#include "daemon/datasets/datasets.h"
#include "daemon/common/histogram.h"
#include "daemon/people/identity.h"
#include "daemon/models/models.h"
#include "daemon/people/quota.h"
#include "daemon/store/store.h"
#include "daemon/devices/supervisor.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

enum { JOBS_KEY_MAX = 200, JOBS_USER_MAX = IDENTITY_USER_MAX, JOBS_LIST_MAX = 1000, JOBS_PRIORITY_MAX = 100 };

/* State, its name in JSON, and the states it may change to (the table is job_transitions in jobs.c):

     queued    -> running paused failed cancelled
     running   -> queued (drained, or its worker or the front died) paused succeeded failed cancelled
     paused    -> queued cancelled
     succeeded, failed, cancelled: final */
enum job_state { JOB_QUEUED, JOB_RUNNING, JOB_PAUSED, JOB_SUCCEEDED, JOB_FAILED, JOB_CANCELLED, JOB_STATES };
const char *job_state_name(enum job_state s);
/* -1 for a name that is none. */
int job_state_parse(const char *name);
bool job_state_final(enum job_state s);
/* True if the table above allows the change. */
bool job_state_allows(enum job_state from, enum job_state to);

struct jobs;

/* --- what the API calls --- */

/* Checks a posted job (strictly: field by field, the data set must be there, the architecture must fit the
   data and a device's memory) and stores it as queued. `key` is the Idempotency-Key or NULL: the same user's
   second post with a key gets the first job back, and *ret_again is true.
   ERR_INVALID with the field's pointer, ERR_DEVICE_MEMORY with the numbers (507), ERR_UNAVAILABLE while
   draining, before the devices are known, when all are quarantined, or while the data set is being imported
   (503), ERR_DISK, ERR_QUOTA when too many of his wait. Data set and models must be open to `who`, and
   save_as must be a name that he may save under. `body` is borrowed. */
int jobs_submit(struct jobs *js, const struct identity *who, const char *key, const cJSON *body,
        int64_t *ret_id, bool *ret_again, struct err *e);

/* 0 when there is the job and it is open to `who`; ERR_NOT_FOUND for either, alike. */
int jobs_see(struct jobs *js, const struct identity *who, int64_t id, struct err *e);
/* ERR_EXISTS when `who` may not save a model under the name: another's model has it, or an unfinished job of
   another's is to save one under it. An operator may replace the model, but not what a job will replace: he
   is told its number. */
int jobs_may_save(struct jobs *js, const struct identity *who, const char *name, struct err *e);

/* The job object of API.md; its request is raw text. ERR_NOT_FOUND. The caller frees *ret with cJSON_Delete.
 */
int jobs_get(struct jobs *js, int64_t id, cJSON **ret, struct err *e);

struct jobs_filter {
        int state;        /* enum job_state, or -1 for any */
        const char *user; /* NULL for any */
        const char *own;  /* only what is this user's; NULL for everything */
        int64_t before;   /* only ids below this; 0 for no bound */
        int limit;        /* 1 to JOBS_LIST_MAX */
};
/* An array of job objects, newest first. The caller frees *ret. Where the next one would make it larger than
   some MiB it ends before f->limit: *ret_before is then the last one's id, with which to go on, else 0.
   It may lack what there was no memory for: json_fell_short. */
int jobs_list(struct jobs *js, const struct jobs_filter *f, cJSON **ret, int64_t *ret_before, struct err *e);

/* Each returns 0 when the wish is stored (202: a running job reaches the state at its next step),
   ERR_NOT_FOUND, or ERR_STATE (409) where the table does not allow it. Cancelling twice is no error while the
   job still runs; resuming a job that has not stopped yet takes the pause back. */
int jobs_cancel(struct jobs *js, int64_t id, struct err *e);
int jobs_pause(struct jobs *js, int64_t id, struct err *e);
int jobs_resume(struct jobs *js, int64_t id, struct err *e);

/* Removes an ended job with its events and its result; models that it made stay. ERR_NOT_FOUND; ERR_STATE for
   one that has not ended. */
int jobs_delete(struct jobs *js, int64_t id, struct err *e);

/* Opens the result of a finished classify job, JSON of *ret_size bytes; the caller closes *ret_fd:
   {"model","dataset","count",
   "model_import","dataset_import" (recipe.h, of what it was trained on and of what is classified),
   "classes_by":"name"|"number" (the model's are the data set's by name, in any order; else the same number),
   "classes":[names],"labels":[int],"predictions":[int],"probabilities":[of these] and, where it is known
   (origins.h), "files":[names],"file":[number of them], where a file has several "frame":[int], and of tiles
   "tile":[[y,x]]} and what scores.h says. Those of older versions end with "predictions".
   ERR_NOT_FOUND; ERR_STATE for a job of another type or one that has not succeeded; ERR_UNAVAILABLE where it
   cannot be read. */
int jobs_result(struct jobs *js, int64_t id, int *ret_fd, uint64_t *ret_size, struct err *e);

/* --- what the feed calls --- */

/* One stored event; `event` and `data` (one line of JSON) are borrowed for the call. Non-zero stops. */
typedef int (*jobs_row)(void *ctx, int64_t id, const char *event, const char *data);
/* Calls `row` for the job's events with an id above `after`, in order, at most `limit` (0: all). Ids count up
   by one from 1. Only committed events are seen. The last event of a final job is `end`. Returns 0, or what
   `row` returned to stop, or ERR_NOT_FOUND for a job that does not exist. */
int jobs_events(
        struct jobs *js, int64_t job, int64_t after, int limit, jobs_row row, void *ctx, struct err *e);

/* Called after events of a job up to `last` were committed, never from within jobs_events. The callee may
   read (jobs_get, jobs_events) but must not change jobs. One hook; NULL for none. */
typedef void (*jobs_hook)(void *ctx, int64_t job, int64_t last);
void jobs_set_hook(struct jobs *js, jobs_hook hook, void *ctx);

/* ERR_STATE while a job that is not final names the data set, which must then stay as it is. */
int jobs_spare_dataset(struct jobs *js, const char *name, struct err *e);
/* Jobs by state, for metrics: counts[JOB_STATES] overwritten. `user`: of one alone, NULL for all. */
int jobs_count(struct jobs *js, const char *user, int64_t counts[JOB_STATES], struct err *e);

/* Calls `row` for each user and state with unfinished jobs; `user`: of one alone, NULL for all. */
int jobs_count_users(struct jobs *js, const char *user,
        void (*row)(void *ctx, const char *user, enum job_state state, int64_t count), void *ctx,
        struct err *e);
/* Since the start, but for the last one. */
struct jobs_stats {
        uint64_t steps, images; /* of training */
        struct histogram waits; /* seconds between submission and first start, in histogram_slow */
        double oldest_seconds;  /* since the oldest queued job was submitted, 0 where none is */
};
int jobs_stats(struct jobs *js, struct jobs_stats *ret, struct err *e);

/* --- what service.c and sched.c call --- */

struct jobs_options {
        const char *state_dir; /* copied */
        struct store *store;   /* these seven borrowed; they outlive the jobs */
        struct quota *quota;
        struct datasets *datasets;
        struct models *models;
        struct supervisor *supervisor;
        struct carries *carries;
        struct reserve *reserve;
        double slice_seconds, half_life_seconds; /* see conf.h */
};
/* Puts jobs that were running when the last front died back to queued (or to paused or cancelled where that
   had been asked for), committed before it returns. */
int jobs_create(const struct jobs_options *o, struct jobs **ret, struct err *e);
void jobs_destroy(struct jobs *js);
/* After the start: goes on tidying the folders of ended jobs for a few milliseconds, if there is more to do.
 */
void jobs_sweep(struct jobs *js);
bool jobs_sweeping(const struct jobs *js);
/* After this no job is accepted. */
void jobs_drain(struct jobs *js);

#endif
