/* The server's certificate and key, looked at before they are used. */
#ifndef CNND_TLS_H
#define CNND_TLS_H

#include "base/err.h"

/* ERR_INVALID when the PEM texts are no certificate and key, or do not fit together; says what GnuTLS says.
 */
int tls_check(const char *cert, const char *key, struct err *e);

#endif
