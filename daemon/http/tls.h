/* The server's certificate and key: checked, and given to each connection at its beginning, so that another
   can take their place while the server runs. One thread. */
#ifndef CNND_TLS_H
#define CNND_TLS_H

#include "base/err.h"

#include <gnutls/gnutls.h>

struct tls;

/* ERR_INVALID when the PEM texts are no certificate and key, or do not fit together; says what GnuTLS says.
   The caller has one share of it. */
int tls_create(const char *cert, const char *key, struct tls **ret, struct err *e);
/* One more share. */
struct tls *tls_keep(struct tls *t);
/* One less: the last frees it. NULL accepted. */
void tls_drop(struct tls *t);
/* Has a session, before its handshake, show this certificate; it needs a share until it ends. ERR_NO_MEMORY.
 */
int tls_use(struct tls *t, gnutls_session_t session, struct err *e);

#endif
