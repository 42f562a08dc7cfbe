#include "client/address.h"
#include "base/str.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool has_prefix(const char *text, const char *prefix)
{
        return strncasecmp(text, prefix, strlen(prefix)) == 0;
}

static bool is_loopback(const char *url)
{
        const char *host = strstr(url, "://") + 3;
        return has_prefix(host, "127.") || has_prefix(host, "[::1]") || has_prefix(host, "localhost");
}

/* A control character in a header would let its value add headers of its own. */
static bool header_safe(const char *text)
{
        for (const unsigned char *p = (const unsigned char *)text; *p; p++)
                if (*p < 0x20 || *p == 0x7F)
                        return false;
        return true;
}

static int set_url(struct address *a, const char *url, struct err *e)
{
        if (has_prefix(url, "unix:") && url[5]) {
                a->socket_path = strdup(url + 5);
                a->base = strdup("http://localhost");
                a->local = true;
                if (!a->socket_path)
                        return err_set(e, ERR_NO_MEMORY, "no memory for a connection");
        } else if ((has_prefix(url, "http://") && url[7]) || (has_prefix(url, "https://") && url[8])) {
                a->base = strdup(url);
                a->local = is_loopback(url);
                for (size_t n = a->base ? strlen(a->base) : 0; n && a->base[n - 1] == '/'; n--)
                        a->base[n - 1] = '\0';
        } else {
                return err_set(e, ERR_INVALID,
                        "\"%s\" is not the address of a server; http://HOST:PORT, https://… or unix:PATH is",
                        url);
        }
        a->url = strdup(url);
        return a->url && a->base ? 0 : err_set(e, ERR_NO_MEMORY, "no memory for a connection");
}

static int set_token(struct address *a, const char *token, struct err *e)
{
        struct str auth = {0};
        if (!token || !token[0])
                return 0;
        if (!header_safe(token))
                return err_set(e, ERR_INVALID, "the token holds a control character");
        str_addf(&auth, "Authorization: Bearer %s", token);
        a->auth = str_take(&auth);
        return a->auth ? 0 : err_set(e, ERR_NO_MEMORY, "no memory for a connection");
}

int address_parse(const char *url, const char *token, struct address *ret, struct err *e)
{
        struct address a = {0};
        int rc = set_url(&a, url, e);
        if (rc == 0)
                rc = set_token(&a, token, e);
        if (rc == 0)
                *ret = a;
        else
                address_finish(&a);
        return rc;
}

void address_finish(struct address *a)
{
        free(a->url);
        free(a->base);
        free(a->socket_path);
        free(a->auth);
        *a = (struct address){0};
}
