/* What one user may take of the server: requests a second, connections, jobs that wait, bytes that stay.
   Operators may take everything. One thread. */
#ifndef CNND_QUOTA_H
#define CNND_QUOTA_H

#include "base/err.h"
#include "daemon/people/identity.h"
#include "daemon/store/store.h"

#include <stdint.h>

/* 0 is no limit. */
struct quota_limits {
        double requests_per_second; /* on average; twice as many at once, and of the front's time half */
        int64_t connections;        /* open at once */
        int64_t queued_jobs;        /* queued and paused */
        int64_t stored_bytes;       /* models, data sets, requests, events and results of jobs */
};

struct quota;
/* Copies `limits`, borrows the store. NULL when memory is out. */
struct quota *quota_create(const struct quota_limits *limits, struct store *store);
/* NULL accepted. */
void quota_destroy(struct quota *q);

/* Counts one request. ERR_QUOTA with the seconds after which one is taken again: of those that are quick by
   their number, of others by the time that they took. */
int quota_request(
        struct quota *q, const struct identity *who, int64_t now_ms, int *ret_seconds, struct err *e);
/* So many seconds of the front's time a request has taken, of its processor and waiting for the disk. */
void quota_worked(struct quota *q, const struct identity *who, double seconds, int64_t now_ms);
/* Counts a connection until quota_leave. ERR_QUOTA when the user has as many as may be. */
int quota_enter(struct quota *q, const struct identity *who, int64_t now_ms, struct err *e);
void quota_leave(struct quota *q, const struct identity *who);
/* ERR_QUOTA when no further job may wait. */
int quota_job(struct quota *q, const struct identity *who, struct err *e);
/* Whether so many bytes may be stored under this name, in place of what the user has there; what jobs that
   have not ended will save counts. ERR_TOO_LARGE when they alone are past the limit, ERR_DISK when they are
   together with the rest. */
int quota_model(struct quota *q, const struct identity *who, const char *name, int64_t bytes, struct err *e);
int quota_dataset(
        struct quota *q, const struct identity *who, const char *name, int64_t bytes, struct err *e);
/* The same of a new job: its request, events and result, and the model that it will save ("" for none): until
   then the one that stands there stays. ERR_DISK. */
int quota_save(struct quota *q, const struct identity *who, const char *name, int64_t bytes,
        int64_t kept_bytes, struct err *e);

#endif
