/* The answer to one request, put together by a handler and sent by http.c. */
#ifndef CNND_REPLY_H
#define CNND_REPLY_H

#include "base/err.h"
#include "base/str.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { REPLY_MAX_HEADERS = 4 };

enum { REPLY_END = -1, REPLY_BROKEN = -2 };

/* A body without an end yet. `read` fills `out` and returns the number of bytes, 0 when there is nothing now
   (http_wake when there is), REPLY_END, or REPLY_BROKEN where it must end before its end, so that the client
   does not take it for whole; `close` is called once, whatever ended it. */
struct reply_stream {
        void *ctx;
        ssize_t (*read)(void *ctx, char *out, size_t max);
        void (*close)(void *ctx);
        bool whole; /* cut short it is worth nothing: a daemon that stops breaks it off */
};

/* A body of known size that is put together as it is sent. `read` gives up to `max` bytes from `at` on, at
   least one, or REPLY_BROKEN; `close` is called once. */
struct reply_source {
        void *ctx;
        ssize_t (*read)(void *ctx, uint64_t at, char *out, size_t max);
        void (*close)(void *ctx);
};

/* All zero is no answer yet. At most one of text, fd, source and stream is the body. */
struct reply {
        int status;
        bool oip;          /* to a request of the Open Inference Protocol: how a problem is written */
        int retry_seconds; /* for a problem's Retry-After; 0: the usual */
        const char *type;  /* media type, a literal; NULL for no body */
        struct str text;   /* owned */
        int fd;            /* owned where has_file */
        bool has_file;
        struct reply_source source; /* owned where `read` is set */
        uint64_t size;              /* of file or source */
        struct reply_stream stream; /* owned where `read` is set */
        struct {
                const char *name; /* literal */
                char *value;      /* owned */
        } header[REPLY_MAX_HEADERS];
        int header_count;
};

/* Frees the body, closes file and stream. */
void reply_finish(struct reply *r);

/* Each sets status and body; what was set before is dropped. */
/* Takes the text out of *text. ERR_NO_MEMORY where an append to it had failed. */
int reply_text(struct reply *r, int status, const char *type, struct str *text, struct err *e);
/* Takes the tree; NULL is ERR_NO_MEMORY. */
int reply_json(struct reply *r, int status, cJSON *tree, struct err *e);
/* Takes the descriptor. */
void reply_file(struct reply *r, const char *type, int fd, uint64_t size);
void reply_source(struct reply *r, const char *type, const struct reply_source *source, uint64_t size);
void reply_stream(struct reply *r, const char *type, const struct reply_stream *stream);
void reply_empty(struct reply *r, int status);
/* A problem document, with Retry-After where waiting helps. `status` 0: by e->code. */
void reply_problem(struct reply *r, int status, const struct err *e);

/* One more header line, left out where memory is; `name` is a literal. */
void reply_header(struct reply *r, const char *name, const char *fmt, ...)
        __attribute__((format(printf, 3, 4)));

#endif
