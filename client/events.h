/* The events of a job, each once and in order, over as many connections as it takes. */
#ifndef CNND_EVENTS_H
#define CNND_EVENTS_H

#include "client/fetch.h"
#include "client/sse.h"

/* Told when the stream is lost (`why` says what happened) and when it is back (`why` NULL). */
typedef void (*events_link)(void *data, const char *why);

struct events_request {
        int64_t job;
        int give_up_s;    /* how long to look for a server that went away */
        event_sink sink;  /* 1 ends the stream with success; negative ERR_… ends it with that error */
        events_link link; /* may be NULL */
        fetch_tick tick;  /* as in fetch_request, also while no server is there; may be NULL */
        void *data;       /* for the three of them */
};

/* Reads from the first event on until the sink returns 1. A broken stream, a restarted server and an answer
   of 429, 502, 503 or 504 are tried again with growing pauses and `Last-Event-ID`; events that came already
   are dropped. ERR_CLOSED when no server was there for `give_up_s` (at once where the first try found none),
   the server's own error for any other answer (rest_refused), or the code of sink or tick. */
int events_read(struct fetch *h, const struct events_request *q, struct err *e);

#endif
