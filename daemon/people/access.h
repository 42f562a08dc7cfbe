/* Who may come in: from what is known of a request to an identity, or to 401.

     a bearer token                      whose it is, on every listener
     the Unix socket, without a token    the user of the process at its other end
     TCP, without a token                on loopback (or with --insecure), as long as no token was ever made
                                         (which is seen within 10 ms):
                                         the daemon's own user, an operator. Else nobody.
   One thread. */
#ifndef CNND_ACCESS_H
#define CNND_ACCESS_H

#include "base/err.h"
#include "daemon/people/identity.h"
#include "daemon/store/store.h"

#include <stdbool.h>
#include <sys/types.h>

struct access;

struct access_options {
        struct store *store;   /* borrowed */
        const char *operators; /* borrowed; see identity.h */
        bool loopback;         /* TCP is reached from this machine alone */
        bool tls;
        bool insecure;
};
/* ERR_INVALID where TCP would be reached from other machines without TLS and a token, and `insecure` does not
   say that this is wanted. */
int access_create(const struct access_options *o, struct access **ret, struct err *e);
/* NULL accepted. */
void access_destroy(struct access *a);

/* `local`: over the Unix socket, from a process of `uid`. `authorization` is that header, NULL without one.
   ERR_LOGIN (401), ERR_UNAVAILABLE where it cannot be found out. */
int access_admit(struct access *a, bool local, uid_t uid, const char *authorization, struct identity *ret,
        struct err *e);

/* Who the user of a process at the other end of the Unix socket is: as identity_of_uid, but that it goes on
   with what it knew before where that is not told now. */
int access_peer(struct access *a, uid_t uid, struct identity *ret, struct err *e);

#endif
