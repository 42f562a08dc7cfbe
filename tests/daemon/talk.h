/* One HTTP request over a Unix socket, as a client does it who looks closely. */
#ifndef CNND_TALK_H
#define CNND_TALK_H

#include <stdbool.h>
#include <stddef.h>

enum { TALK_BYTES = 1 << 20, TALK_LONG_MS = 1200000 };

struct answer {
        int status;            /* 0: the connection ended before one came */
        bool whole;            /* it has all bytes that its header promises */
        bool silent;           /* nothing came for long, and the connection stood */
        long long id;          /* of the job that it tells of, 0 for none */
        char body[TALK_BYTES]; /* a string */
        size_t len;
};

struct request {
        const char *method, *path;
        const char *headers; /* lines with their ends, "" for none */
        const void *body;
        size_t len;
};

/* Connects, asks and reads to the end. `patience_ms` passes without a byte before the answer counts as
   silent; `tired`, where not NULL, is called first, and TALK_LONG_MS more waited. */
void talk(const char *socket, const struct request *rq, int patience_ms, void (*tired)(void),
        struct answer *ret);
/* Masks what may differ from one run to the next: every number becomes '#'; where a job stands in line, which
   is looked up only now and then, goes, and of a job that runs how far it is. */
void talk_mask(char *text);

#endif
