#include "daemon/notify.h"

#include "base/log.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Half of what systemd waits, as its manual asks; 0 where this process has no watchdog. */
static int64_t watchdog_ms(void)
{
        const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
        if (!usec || (pid && strtol(pid, NULL, 10) != getpid()))
                return 0;
        long long us = strtoll(usec, NULL, 10);
        return us > 2000 ? us / 2000 : 0;
}

void notify_init(struct notify *n)
{
        const char *path = getenv("NOTIFY_SOCKET");
        *n = (struct notify){.fd = -1, .to = {.sun_family = AF_UNIX}};
        size_t len = path ? strlen(path) : 0;
        if (len < 2 || len >= sizeof n->to.sun_path || (path[0] != '/' && path[0] != '@'))
                return;
        memcpy(n->to.sun_path, path, len);
        if (path[0] == '@')
                n->to.sun_path[0] = '\0'; /* the abstract name space */
        n->to_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
        n->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (n->fd < 0)
                log_line(LOG_WARN, "systemd cannot be told anything: %s", strerror(errno));
        else
                n->every_ms = watchdog_ms();
}

void notify_finish(struct notify *n)
{
        if (n->fd >= 0)
                close(n->fd);
        n->fd = -1;
}

void notify_tell(struct notify *n, const char *state)
{
        if (n->fd < 0)
                return;
        const struct sockaddr *to = (const struct sockaddr *)&n->to;
        if (sendto(n->fd, state, strlen(state), MSG_NOSIGNAL, to, n->to_len) < 0)
                log_line(LOG_WARN, "systemd was not told %s: %s", state, strerror(errno));
}

void notify_tick(struct notify *n, int64_t now_ms)
{
        if (n->fd < 0 || !n->every_ms || now_ms < n->due_ms)
                return;
        n->due_ms = now_ms + n->every_ms;
        notify_tell(n, "WATCHDOG=1");
}

int notify_timeout_ms(const struct notify *n, int64_t now_ms)
{
        if (n->fd < 0 || !n->every_ms)
                return -1;
        return n->due_ms > now_ms ? (int)(n->due_ms - now_ms) : 0;
}
