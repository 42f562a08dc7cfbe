/* Checks of a request's header against request smuggling, DNS rebinding and cross-site requests. */
#ifndef CNND_GUARD_H
#define CNND_GUARD_H

#include "base/err.h"
#include "daemon/common/media.h"

#include <microhttpd.h>
#include <stdbool.h>
#include <stdint.h>

struct guard_facts {
        int64_t length; /* Content-Length; 0 where there is no body, -1 where it is chunked */
        bool expects_continue;
        char media_type[MEDIA_MAX + 1]; /* "" where there is no Content-Type */
};

/* Fills *ret; untouched on failure. `local`: Host must be an address or a name of this machine (a page of
   another site that made its name point here has the other name). `unsafe`: the method changes something, so
   a request that a page of another origin sent is refused (Origin, Sec-Fetch-Site). On failure *ret_status is
   the status to answer, and the connection must be closed after the answer: where the next request begins is
   not known. */
int guard_check(struct MHD_Connection *con, const char *method, const char *version, bool local, bool unsafe,
        struct guard_facts *ret, int *ret_status, struct err *e);

#endif
