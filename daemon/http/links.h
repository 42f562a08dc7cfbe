/* The connections of the HTTP server: whose they are, how far they have got, and which one is closed: one
   that is too slow, or, where a listener is full, the one that has been idle longest. Only http.c and
   exchange.c include it. One thread. */
#ifndef CNND_LINKS_H
#define CNND_LINKS_H

#include "base/err.h"
#include "daemon/http/http.h"
#include "daemon/people/identity.h"
#include "daemon/http/tls.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct link {
        TAILQ_ENTRY(link) place; /* among those that rest or those that work */
        struct links *home;      /* borrowed */
        int fd;
        int64_t since_ms, deadline_ms; /* deadline 0: none */
        bool reading;                  /* a request is on its way in */
        bool local;                    /* a Unix socket */
        uid_t uid;                     /* of the process at its other end */
        struct tls *tls;               /* a share, owned; NULL without TLS */
        bool streams;                  /* its answer has no end of its own, and so no time */
        int held;                      /* of that, bytes that the kernel had left to pass on */
        uint64_t taken;                /* and on TCP those that the client's system has acknowledged */
        bool works;          /* a request has been let in whose answer is not all sent; else it rests */
        bool closed;         /* from this side: what still comes is not to be served */
        struct identity who; /* whom it counts for; "" while nobody is known */
};

TAILQ_HEAD(link_list, link);
struct links {
        const struct http_options *o;      /* borrowed */
        struct tls *tls;                   /* of new connections on TCP, borrowed; NULL for none */
        struct link_list resting, working; /* oldest first */
        int64_t open[2];                   /* by link.local */
};

void links_init(struct links *ls, const struct http_options *o);
/* A connection that has just been accepted; NULL when memory is out. Where the listener has too many, or its
   user has, this one or another is closed. */
struct link *links_add(struct links *ls, int fd);
/* Frees it. NULL accepted. */
void links_remove(struct link *l);
/* From now on what is sent is a stream: it ends when its client takes nothing of it for 10 s. */
void link_streams(struct link *l);
/* Closes those whose deadline has passed, and where the client has had its answers and will not ask again. */
void links_expire(struct links *ls, int64_t now_ms);

/* A request of `who` is let in. ERR_QUOTA when that user has too many connections; it rests on then. */
int link_work(struct link *l, const struct identity *who, struct err *e);
/* Its answer is all sent. */
void link_rest(struct link *l);
/* Closes it, past the library, which has no call for that: one whose socket is shut down it closes by itself.
   A request on its way in gets `e` as its answer, but for TLS. */
void link_end(struct link *l, int status, const struct err *e);

#endif
