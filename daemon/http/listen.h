/* Listening sockets: a TCP address and a Unix path. */
#ifndef CNND_LISTEN_H
#define CNND_LISTEN_H

#include "base/err.h"

#include <stdbool.h>
#include <sys/socket.h>

struct listen_address {
        struct sockaddr_storage sa;
        socklen_t len;
        bool loopback;
};

/* "127.0.0.1:7420", "[::1]:0", "localhost:80", "0.0.0.0:80"; the host is an IP address or localhost, never
   looked up. ERR_INVALID otherwise. */
int listen_parse(const char *text, struct listen_address *ret, struct err *e);
/* A bound, listening, non-blocking socket. The caller closes it. */
int listen_tcp(const struct listen_address *a, int *ret_fd, struct err *e);
/* The same at `path`, for everybody on this machine. A socket file that nobody listens on is replaced; one
   that somebody does, or a file that is no socket, is ERR_EXISTS. */
int listen_unix(const char *path, int *ret_fd, struct err *e);
/* The port that a TCP socket got. */
int listen_port(int fd);

#endif
