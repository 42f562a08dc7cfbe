/* Telling systemd that the daemon is ready, alive or stopping: sd_notify's protocol, without its library.
   Does nothing where nobody listens ($NOTIFY_SOCKET). One thread. */
#ifndef CNND_NOTIFY_H
#define CNND_NOTIFY_H

#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

struct notify {
        int fd; /* -1: nobody listens */
        struct sockaddr_un to;
        socklen_t to_len;
        int64_t every_ms, due_ms; /* of the watchdog; 0: none */
};

/* From the environment. */
void notify_init(struct notify *n);
void notify_finish(struct notify *n);
/* "READY=1", "STOPPING=1". A message that cannot be sent is logged. */
void notify_tell(struct notify *n, const char *state);
/* Feeds the watchdog when that is due; call it in every turn of the loop. */
void notify_tick(struct notify *n, int64_t now_ms);
/* Milliseconds until notify_tick should be called; -1 for never. */
int notify_timeout_ms(const struct notify *n, int64_t now_ms);

#endif
