/* One row of the table `jobs`, and the job object made of it. One thread (the front's). */
#ifndef CNND_JOBROW_H
#define CNND_JOBROW_H

#include "base/err.h"
#include "daemon/jobs/jobs.h"
#include "daemon/store/store.h"
#include "train/request.h"

#include <cjson/cJSON.h>
#include <stdint.h>

enum job_type { JOB_TRAIN, JOB_CLASSIFY };
/* What a user asked of a running job that has not stopped yet. */
enum job_want { WANT_NOTHING, WANT_PAUSE, WANT_CANCEL };

/* JOBROW_EVENT_BYTES: of the database, for one event on average. */
enum { JOBROW_DEVICE_MAX = 23, JOBROW_LIST_BYTES = 8 << 20, JOBROW_EVENT_BYTES = 160 };

struct job_row {
        int64_t id;
        enum job_type type;
        enum job_state state;
        enum job_want want;
        char user[JOBS_USER_MAX + 1];
        char device[JOBROW_DEVICE_MAX + 1]; /* "" before it ran */
        char dataset[REQUEST_NAME_MAX + 1];
        char model[REQUEST_NAME_MAX +
                   1]; /* of a classify job: what classifies; of a train job: what it made */
        char save_as[REQUEST_NAME_MAX + 1];
        char *name;    /* owned */
        char *request; /* owned: JSON as submitted */
        char *error;   /* owned: why it failed, NULL where it did not */
        char *note;    /* owned: what its plan and its runs have to say, a line each; NULL */
        int64_t created_ms, started_ms, finished_ms; /* wall clock; 0: not yet */
        double epoch;
        int64_t step, steps;
        /* The last stored event of each kind: an event is stored only if its step lies beyond. */
        int64_t train_step, validation_step, checkpoint_step;
        /* Of the last epoch, and once its best one is saved, of that; NaN: not known. */
        double train_loss, train_acc, val_loss, val_acc, images_per_second;
        double best_epoch;                                 /* of a job with save_best, so far */
        int64_t device_bytes, largest_buffer, model_bytes; /* the last of the file that it saves */
        int micro_batch;
        bool tf32;             /* its precision: only for devices that have it */
        int priority;          /* -JOBS_PRIORITY_MAX to JOBS_PRIORITY_MAX; higher goes first */
        double device_seconds; /* that it has had */
        int failures;          /* workers lost in a row without a step between */
        int64_t events;        /* id of the last event */
        int64_t kept_bytes;    /* what request, events and result take: of an unfinished job all that it may
                                  report */
};
/* Frees what it owns and zeroes it. */
void job_row_finish(struct job_row *r);

const char *job_type_name(enum job_type t);

/* ERR_NOT_FOUND "no job 7". *ret is untouched on error; else job_row_finish frees it. */
int jobrow_read(struct store *s, int64_t id, struct job_row *ret, struct err *e);
/* Stores a new row and sets r->id. `key` may be NULL. Within the caller's transaction. */
int jobrow_insert(struct store *s, struct job_row *r, const char *key, struct err *e);
/* What request and so many events take. */
int64_t jobrow_kept_bytes(const struct job_row *r, int64_t events);
/* Stores everything that may change after the submission. Within the caller's transaction. */
int jobrow_update(struct store *s, const struct job_row *r, struct err *e);
/* Within the caller's transaction. */
int jobrow_delete(struct store *s, int64_t id, struct err *e);
/* Without the texts of the row, which may be large: ERR_NOT_FOUND; and what its user asked of it. */
int jobrow_there(struct store *s, int64_t id, struct err *e);
int jobrow_want(struct store *s, int64_t id, enum job_want *ret, struct err *e);
/* The job that `user` submitted with `key`: its id, 0 for none. */
int jobrow_by_key(struct store *s, const char *user, const char *key, int64_t *ret, struct err *e);
/* Calls `row` for the rows of the filter, newest first; non-zero stops and is returned. Their texts make
   JOBROW_LIST_BYTES at most, or there is one alone: *ret_before as jobs_list has it. */
int jobrow_each(struct store *s, const struct jobs_filter *f, int (*row)(void *ctx, struct job_row *r),
        void *ctx, int64_t *ret_before, struct err *e);

/* The job object of API.md, its request raw: a network of thousands of layers is not taken apart to be told.
   It may lack what there was no memory for: json_fell_short. */
cJSON *jobrow_json(const struct job_row *r);

#endif
