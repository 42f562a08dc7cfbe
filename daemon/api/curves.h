/* Curves on their way into answers: a long one is read some rows a turn, so that nobody else waits. One
 * thread. */
#ifndef CNND_CURVES_H
#define CNND_CURVES_H

#include "base/err.h"
#include "daemon/jobs/curve.h"
#include "daemon/http/http.h"
#include "daemon/jobs/jobs.h"

#include <cjson/cJSON.h>
#include <stdint.h>

/* CURVES_SHARE: that are read for one user at once, unless an operator. */
enum { CURVES_ROWS = 10000, CURVES_MAX = 64, CURVES_SHARE = 8 };

struct curves;
/* Borrows `js`. NULL when memory is out. */
struct curves *curves_create(struct jobs *js);
/* Answers nobody: to be called when the HTTP server is gone. NULL accepted. */
void curves_destroy(struct curves *cs);

/* Fills rq->reply. `job` is the job object. */
typedef int (*curves_write)(struct http_request *rq, const struct curve *c, const cJSON *job, struct err *e);

/* Reads the whole curve, then calls `write`: now, and returns its result, where it is short; else later, and
   returns HTTP_LATER. ERR_NOT_FOUND; ERR_QUOTA where CURVES_MAX are being read, or CURVES_SHARE for
   this user. */
int curves_answer(struct curves *cs, struct http_request *rq, int64_t job, curves_write write, struct err *e);

/* Reads on, CURVES_ROWS at most. */
void curves_tick(struct curves *cs);
/* 0 while there is something to read, -1 otherwise. */
int curves_timeout_ms(const struct curves *cs);

#endif
