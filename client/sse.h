/* Incremental parser of text/event-stream (WHATWG HTML, "Server-sent events"): bytes in, whole events out,
   wherever the network cut them. */
#ifndef CNND_SSE_H
#define CNND_SSE_H

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One event of a job. Strings are borrowed for the call. */
struct event {
        int64_t id;       /* -1 where the stream named none */
        const char *kind; /* "train", "validation", …; "message" where the stream named none */
        const char *data; /* JSON text, NUL-terminated */
};

/* Takes one event; 0 to go on. Anything else ends the parsing and is returned by sse_feed. */
typedef int (*event_sink)(void *data, const struct event *ev);

/* Zero-initialised is the start of a stream. */
struct sse {
        struct str line, kind, data; /* owned */
        int64_t id;                  /* last one seen plus one, so that zero means none */
        int retry_ms;                /* what the server asked for, 0 where it did not */
        bool has_data, after_cr, past_start;
};

/* Frees what the parser owns and makes it the start of a new stream; an event that was not whole is dropped.
 */
void sse_finish(struct sse *s);
/* Feeds `len` more bytes. 0, ERR_TOO_LARGE for a line or an event beyond 16 MiB, ERR_NO_MEMORY, or what the
   sink returned (the rest of the bytes is dropped then). */
int sse_feed(struct sse *s, const void *bytes, size_t len, event_sink sink, void *sink_data, struct err *e);

#endif
