#include "daemon/http/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 1024 };

static int parse_port(const char *text, in_port_t *ret, struct err *e)
{
        char *end;
        long port = strtol(text, &end, 10);
        if (*text < '0' || *text > '9' || *end || port > 65535)
                return err_set(e, ERR_INVALID, "\"%s\" is not a port, 0 to 65535", text);
        *ret = htons((in_port_t)port);
        return 0;
}

int listen_parse(const char *text, struct listen_address *ret, struct err *e)
{
        struct listen_address a = {0};
        struct sockaddr_in *v4 = (struct sockaddr_in *)&a.sa;
        struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&a.sa;
        char host[80];
        in_port_t port = 0;
        const char *colon = strrchr(text, ':');
        size_t len = colon ? (size_t)(colon - text) : 0;
        if (!len || len >= sizeof host)
                return err_set(e, ERR_INVALID, "\"%s\" is not HOST:PORT", text);
        int rc = parse_port(colon + 1, &port, e);
        if (rc)
                return rc;
        memcpy(host, text, len);
        host[len] = '\0';
        if (strcmp(host, "localhost") == 0)
                snprintf(host, sizeof host, "127.0.0.1");
        if (host[0] == '[' && host[len - 1] == ']') {
                host[len - 1] = '\0';
                memmove(host, host + 1, len);
                if (inet_pton(AF_INET6, host, &v6->sin6_addr) == 1) {
                        v6->sin6_family = AF_INET6;
                        v6->sin6_port = port;
                        a.len = sizeof *v6;
                        a.loopback = IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
                }
        } else if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
                v4->sin_family = AF_INET;
                v4->sin_port = port;
                a.len = sizeof *v4;
                a.loopback = ntohl(v4->sin_addr.s_addr) >> 24 == 127;
        }
        if (!a.len)
                return err_set(e, ERR_INVALID,
                        "\"%s\" is not an IP address: use 127.0.0.1:7420 or [::1]:7420", text);
        *ret = a;
        return 0;
}

int listen_tcp(const struct listen_address *a, int *ret_fd, struct err *e)
{
        int on = 1;
        int fd = socket(a->sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return err_errno(e, errno, "socket");
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        if (bind(fd, (const struct sockaddr *)&a->sa, a->len) != 0 || listen(fd, BACKLOG) != 0) {
                int rc = err_errno(e, errno, "listen");
                close(fd);
                return rc;
        }
        *ret_fd = fd;
        return 0;
}

/* Removes a socket file whose owner died. */
static int clear_path(const struct sockaddr_un *sa, struct err *e)
{
        struct stat st;
        if (lstat(sa->sun_path, &st) != 0)
                return 0;
        if (!S_ISSOCK(st.st_mode))
                return err_set(e, ERR_EXISTS, "%s exists and is not a socket", sa->sun_path);
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return err_errno(e, errno, "socket");
        int rc = connect(fd, (const struct sockaddr *)sa, sizeof *sa);
        int errnum = errno;
        close(fd);
        if (rc == 0)
                return err_set(e, ERR_EXISTS, "%s: somebody listens there already", sa->sun_path);
        if (errnum != ECONNREFUSED)
                return err_errno(e, errnum, "%s", sa->sun_path);
        if (unlink(sa->sun_path) != 0)
                return err_errno(e, errno, "%s", sa->sun_path);
        return 0;
}

int listen_unix(const char *path, int *ret_fd, struct err *e)
{
        struct sockaddr_un sa = {.sun_family = AF_UNIX};
        if (strlen(path) >= sizeof sa.sun_path)
                return err_set(e, ERR_INVALID, "socket path %s is longer than %zu bytes", path,
                        sizeof sa.sun_path - 1);
        memcpy(sa.sun_path, path, strlen(path) + 1);
        int rc = clear_path(&sa, e);
        if (rc)
                return rc;
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return err_errno(e, errno, "socket");
        if (bind(fd, (const struct sockaddr *)&sa, sizeof sa) != 0 || chmod(path, 0666) != 0 ||
                listen(fd, BACKLOG) != 0) {
                rc = err_errno(e, errno, "socket %s", path);
                close(fd);
                return rc;
        }
        *ret_fd = fd;
        return 0;
}

int listen_port(int fd)
{
        struct sockaddr_storage sa;
        socklen_t len = sizeof sa;
        if (getsockname(fd, (struct sockaddr *)&sa, &len) != 0)
                return -1;
        return ntohs(sa.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&sa)->sin6_port
                                              : ((struct sockaddr_in *)&sa)->sin_port);
}
