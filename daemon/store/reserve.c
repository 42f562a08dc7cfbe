#include "daemon/store/reserve.h"

#include "base/err.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* LEAST_BYTES: fewer are no use to the database. */
enum { LEAST_BYTES = 256 << 10, AGAIN_MS = 10000 };

struct reserve {
        char *path; /* owned */
        off_t held; /* bytes */
        int64_t due_ms;
};

/* More than it holds, as far as there is room; what it holds stays. A file system that cannot promise room
   leaves it at what it is. */
static void take(struct reserve *r)
{
        int fd = open(r->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        bool taken = false;
        for (off_t size = RESERVE_BYTES; fd >= 0 && !taken && size > r->held && size >= LEAST_BYTES;
                size /= 2) {
                taken = posix_fallocate(fd, 0, size) == 0;
                if (taken)
                        r->held = size;
                else if (ftruncate(fd, r->held) != 0)
                        log_line(LOG_WARN, "%s: %s", r->path, strerror(errno));
        }
        if (fd >= 0)
                close(fd);
}

struct reserve *reserve_create(const char *state_dir)
{
        struct reserve *r = calloc(1, sizeof *r);
        if (!r || asprintf(&r->path, "%s/reserve", state_dir) < 0) {
                free(r);
                return NULL;
        }
        take(r);
        return r;
}

void reserve_destroy(struct reserve *r)
{
        if (!r)
                return;
        free(r->path);
        free(r);
}

bool reserve_helps(struct reserve *r, int rc)
{
        if (rc == ERR_DISK && r->held && truncate(r->path, 0) == 0) {
                r->held = 0;
                return true;
        }
        if (!r->held)
                take(r);
        return false;
}

void reserve_tick(struct reserve *r, int64_t now_ms)
{
        if (r->held == RESERVE_BYTES || now_ms < r->due_ms)
                return;
        r->due_ms = now_ms + AGAIN_MS;
        take(r);
}
