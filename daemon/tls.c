#include "daemon/tls.h"

#include <gnutls/gnutls.h>
#include <stdint.h>
#include <string.h>

int tls_check(const char *cert, const char *key, struct err *e)
{
        gnutls_certificate_credentials_t credentials;
        const gnutls_datum_t c = {(unsigned char *)(uintptr_t)cert, (unsigned)strlen(cert)};
        const gnutls_datum_t k = {(unsigned char *)(uintptr_t)key, (unsigned)strlen(key)};
        if (gnutls_certificate_allocate_credentials(&credentials) < 0)
                return err_set(e, ERR_NO_MEMORY, "no memory for a certificate");
        int rc = gnutls_certificate_set_x509_key_mem(credentials, &c, &k, GNUTLS_X509_FMT_PEM);
        gnutls_certificate_free_credentials(credentials);
        if (rc < 0)
                return err_set(
                        e, ERR_INVALID, "tls_cert and tls_key cannot be used: %s", gnutls_strerror(rc));
        return 0;
}
