/* Where a server is and who asks, as the user gave it. */
#ifndef CNND_ADDRESS_H
#define CNND_ADDRESS_H

#include "base/err.h"

#include <stdbool.h>

struct address {           /* all owned */
        char *url;         /* as the user wrote it, for messages */
        char *base;        /* http://… or https://…, what paths are appended to */
        char *socket_path; /* NULL for TCP */
        char *auth;        /* the header line, NULL where anonymous */
        bool local;        /* this machine: a proxy is not meant for it */
};

/* `url` and `token` as fetch_create has them. ERR_INVALID, ERR_NO_MEMORY. */
int address_parse(const char *url, const char *token, struct address *ret, struct err *e);
void address_finish(struct address *a);

#endif
