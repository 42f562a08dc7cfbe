#include "daemon/http/tls.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct tls {
        gnutls_certificate_credentials_t credentials;
        int shares;
};

int tls_create(const char *cert, const char *key, struct tls **ret, struct err *e)
{
        const gnutls_datum_t c = {(unsigned char *)(uintptr_t)cert, (unsigned)strlen(cert)};
        const gnutls_datum_t k = {(unsigned char *)(uintptr_t)key, (unsigned)strlen(key)};
        struct tls *t = calloc(1, sizeof *t);
        if (!t || gnutls_certificate_allocate_credentials(&t->credentials) < 0) {
                free(t);
                return err_set(e, ERR_NO_MEMORY, "no memory for a certificate");
        }
        t->shares = 1;
        int rc = gnutls_certificate_set_x509_key_mem(t->credentials, &c, &k, GNUTLS_X509_FMT_PEM);
        if (rc < 0) {
                tls_drop(t);
                return err_set(
                        e, ERR_INVALID, "tls_cert and tls_key cannot be used: %s", gnutls_strerror(rc));
        }
        *ret = t;
        return 0;
}

struct tls *tls_keep(struct tls *t)
{
        t->shares++;
        return t;
}

void tls_drop(struct tls *t)
{
        if (!t || --t->shares)
                return;
        gnutls_certificate_free_credentials(t->credentials);
        free(t);
}

int tls_use(struct tls *t, gnutls_session_t session, struct err *e)
{
        int rc = gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, t->credentials);
        return rc < 0 ? err_set(e, ERR_NO_MEMORY, "TLS: %s", gnutls_strerror(rc)) : 0;
}
