#include "data/name.h"

#include <gnutls/gnutls.h>
#include <stdbool.h>
#include <string.h>

static const char ellipsis[] = "\xe2\x80\xa6";

/* Whether a character goes on with this byte. */
static bool inside(char c)
{
        return ((unsigned char)c & 0xC0) == 0x80;
}

size_t name_cut(const char *name, size_t most, char *out)
{
        const size_t len = strlen(name), dots = sizeof ellipsis - 1;
        if (len <= most) {
                memcpy(out, name, len + 1);
                return len;
        }
        size_t head = (most - dots) / 2, from = len - (most - dots - head);
        while (head && inside(name[head]))
                head--;
        while (inside(name[from]))
                from++;
        memcpy(out, name, head);
        memcpy(out + head, ellipsis, dots);
        memcpy(out + head + dots, name + from, len - from + 1);
        return head + dots + (len - from);
}

static bool is_ascii(const char *name)
{
        for (; *name; name++)
                if ((unsigned char)*name >= 0x80)
                        return false;
        return true;
}

/* What GnuTLS does to passwords by RFC 8265 (formerly 7613), OpaqueString, is just this. */
char *name_normal(const char *name)
{
        gnutls_datum_t normal = {0};
        if (is_ascii(name))
                return strdup(name);
        int rc = gnutls_utf8_password_normalize(
                (const unsigned char *)name, (unsigned)strlen(name), &normal, 0);
        if (rc == GNUTLS_E_MEMORY_ERROR)
                return NULL;
        char *copy = strdup(rc == 0 ? (const char *)normal.data : name);
        if (rc == 0)
                gnutls_free(normal.data);
        return copy;
}
