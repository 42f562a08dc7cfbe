/* One request and its answer on their way through libmicrohttpd: the other half of http.c. Only these two
   include it. */
#ifndef CNND_EXCHANGE_H
#define CNND_EXCHANGE_H

#include "daemon/http/http.h"
#include "daemon/http/links.h"

#include <microhttpd.h>

/* What all exchanges of a server share. */
struct exchange_host {
        struct http_options o;
        struct body_budget budget;
        struct http_stats stats;
        struct histogram *timing; /* owned by http.c; one for each route */
        struct exchange *exchanges;
        bool stopping; /* streams end */
        bool due[2];   /* the listener of TCP, of the Unix socket (link.local) has work that wakes nobody */
};

enum exchange_phase {
        EXCHANGE_HEADER,  /* the request line has come */
        EXCHANGE_BODY,    /* the whole header has */
        EXCHANGE_WAITING, /* a handler answers later; suspended */
        EXCHANGE_ANSWER,  /* it has; to be queued */
        EXCHANGE_SENT,    /* queued */
};

struct exchange_stream;
struct exchange {
        struct http_request rq; /* first: http_request * is exchange * */
        struct exchange_host *host;
        struct MHD_Connection *con;
        struct link *link;
        struct exchange *next, **prev;
        char *uri;           /* owned; raw */
        const char *uri_end; /* in the library's buffer, where the version follows; not to be read */
        const struct http_route *route;
        struct exchange_stream *stream; /* owned by its response */
        enum exchange_phase phase;
        bool refused; /* the answer is a problem already; the body is thrown away */
        int64_t drained, begun_us;
        bool resting;                    /* a stream, suspended */
        struct body_holder *file_holder; /* while it sends one; NULL for an operator */
        bool sends_file;
        struct body_holder
                *answer_holder; /* while its large answer waits to be taken; NULL for an operator */
        int64_t answer_bytes;   /* 0: it has no large one */
};

struct exchange *exchange_of(const struct http_request *rq);
/* NULL when memory is out. Linked into the host's list. */
struct exchange *exchange_create(
        struct exchange_host *host, struct link *l, struct MHD_Connection *con, const char *uri);
void exchange_destroy(struct exchange *x);
/* A turn of libmicrohttpd's access handler. */
enum MHD_Result exchange_step(
        struct exchange *x, const char *method, const char *version, const char *bytes, size_t *len);
/* Makes the answer a problem; `status` 0: by its code. */
void exchange_refuse(struct exchange *x, int status, const struct err *e);

#endif
