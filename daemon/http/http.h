/* The HTTP server: listeners, limits, bodies, routing by a table, answers now or later, streams.

   libmicrohttpd runs without a thread of its own: the caller polls http_fds and calls http_run. One thread.
   What is refused before any handler runs: what guard.h and target.h refuse, unknown routes (404), methods
   (405), whom `admit` does not let in (401, 429), media types (415), bodies past their limit (413), senders
   slower than the deadlines (408). These are problem documents. What libmicrohttpd 0.9.75 cannot parse it
   answers itself, in HTML, without asking anybody, and closes: a Content-Length that is no number (400, 413;
   its header is then written twice),
   a line without a colon (400), a header or an address past POOL_BYTES (431, 414), another HTTP version
   (505). Far too many query parameters, at which it hangs up, http.c answers by itself (400). */
#ifndef CNND_HTTP_H
#define CNND_HTTP_H

#include "base/err.h"
#include "daemon/http/body.h"
#include "daemon/common/histogram.h"
#include "daemon/people/identity.h"
#include "daemon/common/media.h"
#include "daemon/http/reply.h"
#include "daemon/http/target.h"

#include <stdbool.h>
#include <stdint.h>

struct http;
struct http_request;

/* Returned by a handler that answers later, by http_answer. */
enum { HTTP_LATER = 1 };

/* Handles one whole request: fills rq->reply and returns 0, or returns HTTP_LATER, or an ERR_… that becomes a
   problem document. `ctx` is http_options'. */
typedef int (*http_handler)(void *ctx, struct http_request *rq, struct err *e);

enum http_body {
        HTTP_NO_BODY,
        HTTP_JSON,    /* in memory, at most max_json_bytes, media_is_json */
        HTTP_IMAGE,   /* in memory, at most max_image_bytes, any media type */
        HTTP_FILE,    /* to a file below tmp_dir, at most max_weights_bytes, any media type */
        HTTP_ARCHIVE, /* the same, at most max_dataset_bytes */
};

struct http_route {
        const char *method; /* a GET answers HEAD too */
        const char *path;   /* "/v1/jobs/{}/events"; each {} takes one segment */
        enum http_body body;
        http_handler handle;
        bool open; /* to anybody: not even `admit` is asked; "not now" is an answer like another there */
};

struct http_request {
        struct identity who; /* as `admit` found; of an open route nobody */
        enum http_body kind; /* of body, and how long it is said to be: -1 where it is chunked */
        int64_t length;
        struct target target;           /* target.part: all segments, also those that {} took */
        bool head;                      /* HEAD: the answer's body is not sent */
        struct body body;               /* text or path by the route's kind */
        char media_type[MEDIA_MAX + 1]; /* "" where the client gave none */
        struct reply reply;
        void *note; /* a handler's own, owned: freed with the request */
};

/* Value of a request header, NULL where absent. Borrowed for the handler's call. */
const char *http_header(const struct http_request *rq, const char *name);
/* True for a request over the Unix socket, with the user of the process that opened the connection. */
bool http_local(const struct http_request *rq, uid_t *ret_uid);

/* Ends HTTP_LATER, never from within the handler: rc 0 sends rq->reply, else the problem in *e. `rq` must not
   be used after. */
void http_answer(struct http_request *rq, int rc, const struct err *e);
/* Lets a stream that had nothing be read again. Allowed until the stream's `close`. */
void http_wake(struct http_request *rq);
/* Asks `know` again, for an answer that takes long: ERR_LOGIN when a token was revoked meanwhile. */
int http_know_again(struct http_request *rq, struct err *e);
/* True when the client of a stream or of an HTTP_LATER has closed its side, or all of it: what is sent next
   finds out. */
bool http_gone(const struct http_request *rq);

struct http_options {
        const struct http_route *routes; /* ends with a method of NULL; borrowed */
        void *ctx;                       /* for handlers; borrowed */
        /* Fills rq->who before any byte of a body is taken, or refuses the request. */
        int (*admit)(void *ctx, struct http_request *rq, struct err *e);
        /* The part of `admit` that fills rq->who, and counts nothing: ERR_LOGIN. */
        int (*know)(void *ctx, struct http_request *rq, struct err *e);
        /* Who the user of a process at the other end of the Unix socket is. */
        int (*peer)(void *ctx, uid_t uid, struct identity *ret, struct err *e);
        /* Counts a connection for `who`, or ERR_QUOTA; counts it no longer. */
        int (*enter)(void *ctx, const struct identity *who, struct err *e);
        void (*leave)(void *ctx, const struct identity *who);
        /* So many seconds a handler took for a request of `who`, of a processor and of what waited_us counts.
           NULL: nobody counts them. */
        void (*worked)(void *ctx, const struct identity *who, double seconds);
        /* Microseconds that this thread has waited for a disk so far. NULL: that is nobody's. */
        int64_t (*waited_us)(void *ctx);
        const char *tmp_dir;            /* borrowed */
        int tcp_fd, unix_fd;            /* listening sockets, -1 for none; taken, also on failure */
        bool loopback;                  /* tcp_fd: only names of this machine are taken for Host */
        const char *tls_cert, *tls_key; /* tcp_fd: PEM texts, NULL for none; copied */
        double header_seconds, idle_seconds;
        int64_t max_json_bytes, max_image_bytes, max_weights_bytes, max_dataset_bytes, body_memory_bytes;
        int64_t max_connections;
        int64_t max_files; /* open at once for bodies and answers, of all listeners; half of them one user's
                            */
        int64_t stored_bytes; /* so much may be on its way into files from one user, but one whole body at
                                 least; 0: no limit */
};

int http_create(const struct http_options *o, struct http **ret, struct err *e);
/* Ends streams and answers 503 to what waits, gives all a second to be sent, closes. http_answer must not be
   called after. NULL accepted. */
void http_destroy(struct http *h);

/* Another certificate (PEM texts) for connections that begin from now on. ERR_INVALID where it cannot be
   used: the old one stays. Only where http_options had one. */
int http_set_certificate(struct http *h, const char *cert, const char *key, struct err *e);

enum { HTTP_MAX_FDS = 2 };
/* Descriptors to poll for POLLIN; returns their number. */
int http_fds(const struct http *h, int fds[HTTP_MAX_FDS]);
/* Milliseconds until http_run should be called though none is readable. */
int http_timeout_ms(const struct http *h);
/* Does all that can be done without blocking; bit i of `readable` is set where http_fds' i-th was. Handlers
   and stream reads run in here. */
void http_run(struct http *h, unsigned readable);

struct http_stats {
        uint64_t answers[6]; /* by the status's first digit */
        int64_t connections, streams, waiting;
        int64_t body_bytes, answer_bytes; /* of bodies, and of large answers, in memory */
};
struct http_stats http_stats(const struct http *h);
/* Seconds from header to answer of the route at `index` of http_options' table, in histogram_quick; streams
   to their begin. */
const struct histogram *http_timing(const struct http *h, int index);

#endif
