/* Streams of imports' progress, in the formats of feed.h: the present state, then changes, then the end. A
   slow reader misses steps, but never the end. One thread. */
#ifndef CNND_IMPORTFEED_H
#define CNND_IMPORTFEED_H

#include "base/err.h"
#include "daemon/api/feed.h"
#include "daemon/http/http.h"
#include "daemon/datasets/imports.h"

#include <stdbool.h>
#include <stdint.h>

struct importfeed;

/* Takes the imports' hook; `is` is borrowed. NULL when memory is out. */
struct importfeed *importfeed_create(struct imports *is, double heartbeat_seconds);
/* After the server has ended all its streams. NULL accepted. */
void importfeed_destroy(struct importfeed *f);

/* Answers `rq` with the events of import `id`. `owner`: it stops when this client leaves. */
int importfeed_open(struct importfeed *f, struct http_request *rq, int id, enum feed_format format,
        bool owner, struct err *e);

/* Heartbeats, clients that left, tokens that are no longer good. After service_run. */
void importfeed_tick(struct importfeed *f, int64_t now_ms);

#endif
