/* Exchanges that are tried again while a server is away, or short of something. One thread. */
#ifndef CNND_RETRY_H
#define CNND_RETRY_H

#include "client/fetch.h"

#include <stdbool.h>

/* 429, 502, 503 and 504: the same may be answered in a while. */
bool retry_may_help(int status);
/* Sleeps `ms` and keeps ticking (`tick` may be NULL); the tick's code. */
int retry_pause(fetch_tick tick, void *data, int64_t ms);

/* Zero but for what the caller fills in, up to `data`. What is tried must do no harm when it is done twice.
 */
struct retry {
        struct fetch *http;                        /* borrowed */
        int give_up_s;                             /* how long a server is waited for */
        fetch_tick tick;                           /* also while nothing is sent; may be NULL */
        void (*told)(void *data, const char *why); /* the server is away, and why; NULL: it is there again */
        void *data;                                /* for both */
        bool reached; /* there was a server: who finds none at first has a wrong address */
        bool away;
        int64_t until_ms, pause_ms;
        int unwell; /* how often in a row a server that is well answered that it cannot, RETRY_MOST_UNWELL at
                       most */
};

/* A device that was lost over what was sent is no reason to send it again, and to lose the next; but where
   so many in a row are refused so, it is none of theirs. */
enum { RETRY_MOST_UNWELL = 3 };

/* Called with what fetch_send returned and its reply: true where the same is to be sent again, after a pause
   that is over then; the reply is finished. Else *rc is the code, where it has changed with *e filled:
   ERR_CLOSED where the server was away for so long, or tick's. */
bool retry_again(struct retry *r, int *rc, struct fetch_reply *reply, struct err *e);

#endif
