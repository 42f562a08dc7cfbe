/* One HTTP exchange after another with one server: by libcurl in fetch_curl.c, by WinHTTP in fetch_winhttp.c.
   One thread. */
#ifndef CNND_FETCH_H
#define CNND_FETCH_H

#include "base/err.h"
#include "base/str.h"

#include <stddef.h>
#include <stdint.h>

enum { FETCH_MAX_HEADERS = 6 };

struct fetch;

/* `url` is http://…, https://… or unix:PATH. `token` may be NULL; both are copied. ERR_INVALID where the URL
   is none of these, or the token holds what a header cannot. */
int fetch_create(const char *url, const char *token, struct fetch **ret, struct err *e);
/* NULL accepted. */
void fetch_destroy(struct fetch *h);
/* The address as the user wrote it, for messages. */
const char *fetch_url(const struct fetch *h);

/* Takes the next bytes of an answer; 0 to go on, a negative ERR_… ends the exchange with that code. */
typedef int (*fetch_sink)(void *data, const void *bytes, size_t len);
/* Fills up to `len` bytes of the body to send; returns their number, 0 at the end, negative ERR_… to give up.
 */
typedef int64_t (*fetch_source)(void *data, void *bytes, size_t len);
/* Called some ten times a second while the exchange goes on; 0 to go on, negative ERR_… ends it. */
typedef int (*fetch_tick)(void *data);

struct fetch_request {
        const char *method;                     /* "GET", "POST", "PUT", "DELETE" */
        const char *path;                       /* from the first slash, with the query; escaped already */
        const char *headers[FETCH_MAX_HEADERS]; /* "Name: value", unused ones NULL */
        const void *body;                       /* borrowed; with `body_len`, or else `source` */
        size_t body_len;
        fetch_source source; /* gives exactly `source_len` bytes */
        void *source_data;
        uint64_t source_len;
        const char *source_name; /* borrowed; the file that it comes from, NULL for none */
        fetch_sink sink;         /* gets the body of a 2xx answer; where NULL the reply keeps it */
        void *sink_data;
        fetch_tick tick;
        void *tick_data;
        int stall_s; /* ERR_CLOSED after so many seconds without a byte either way; 0: 300 s */
};

struct fetch_reply {
        int status;
        char type[96];      /* media type without parameters, "" where none was sent */
        char location[256]; /* of the header Location, "" where none was sent */
        int retry_after_s;  /* of the header Retry-After, 0 where none was sent */
        struct str body;    /* owned; the body that no sink took */
};

/* 0 when an answer came, whatever its status; *ret is filled then, and to be finished. ERR_CLOSED: nobody
   answers there or the connection broke (`*sent` tells whether the request may have reached the server; may
   be NULL). Otherwise the code that sink, source or tick gave. */
int fetch_send(
        struct fetch *h, const struct fetch_request *q, struct fetch_reply *ret, int *sent, struct err *e);
/* Frees what the reply owns. */
void fetch_reply_finish(struct fetch_reply *r);

/* Appends one path segment or query value, percent-encoded. */
void fetch_escape(struct str *s, const char *text);

#endif
