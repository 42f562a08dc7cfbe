/* What the libraries behind fetch.h have in common: fetch_curl.c, and fetch_winhttp.c on Windows. */
#ifndef CNND_TALK_H
#define CNND_TALK_H

#include "client/fetch.h"

#include <stdbool.h>

#define TALK_AGENT "cnnctl/" CNND_VERSION
enum { TALK_CONNECT_S = 10, TALK_STALL_S = 300, TALK_TICK_MS = 100 };

/* One exchange under way; all borrowed. */
struct talk {
        const struct fetch_request *q;
        struct fetch_reply *reply;
        int code; /* what a callback ended the exchange with, 0 while none did */
        struct err *e;
};

/* Seconds without a byte after which it is given up. */
int talk_stall_s(const struct talk *x);
/* Forgets the headers of an answer before the last, 100 Continue say. */
void talk_begin_reply(struct talk *x);
/* Keeps a header that a reply tells; others are passed over. `value` of `len` bytes, blanks around it
 * ignored. */
void talk_header(struct talk *x, const char *name, const char *value, size_t len);
/* A piece of the body, to the sink or into the reply. False when it ends the exchange; its code is set then.
 */
bool talk_body(struct talk *x, int status, const void *bytes, size_t len);
/* The next piece of the body to send, 0 at its end; -1 when it ends the exchange. */
int64_t talk_source(struct talk *x, void *bytes, size_t len);
/* False when it ends the exchange. */
bool talk_tick(struct talk *x);
/* ERR_CLOSED in words: whether the request reached the server at `url`, and why not or why no further. */
int talk_broken(const struct talk *x, const char *url, bool reached, const char *why);

#endif
