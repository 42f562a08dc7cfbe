/* Event streams: every event of a job so far, then live, then the end.

   Nothing is buffered for slow readers: a stream keeps the id of its last event and at most one batch of
   text, and reads on in the store when the client has taken that. A stream at rest costs its connection and
   about 200 bytes. One thread. */
#ifndef CNND_FEED_H
#define CNND_FEED_H

#include "base/err.h"
#include "daemon/http/http.h"
#include "daemon/jobs/jobs.h"

#include <stdint.h>

struct feed;

/* Takes the jobs' hook; `js` is borrowed. NULL when memory is out. */
struct feed *feed_create(struct jobs *js, double heartbeat_seconds);
/* After the server has ended all its streams. NULL accepted. */
void feed_destroy(struct feed *f);

enum feed_format {
        FEED_SSE,    /* id:, event: and data: lines; a heartbeat is a comment line */
        FEED_NDJSON, /* {"id":12,"event":"train","data":{…}} a line; a heartbeat is one blank before the next
                        line */
};

/* Answers `rq` with the events of `job` above `after`; 204 where the job has ended and there are none. Where
 * it ends before them, so does the stream, without any. ERR_NOT_FOUND. */
int feed_open(struct feed *f, struct http_request *rq, int64_t job, int64_t after, enum feed_format format,
        struct err *e);

/* Wakes streams that have news, ends those whose token is no longer good, sends heartbeats that are due,
 * finds clients that have gone. After service_run. */
void feed_tick(struct feed *f, int64_t now_ms);
/* Milliseconds until feed_tick should be called. */
int feed_timeout_ms(const struct feed *f, int64_t now_ms);

#endif
