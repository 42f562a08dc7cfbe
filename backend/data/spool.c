#include "data/spool.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { BUFFER_BYTES = 1 << 20 };

int spool_open(struct spool *s, const char *dir, uint64_t limit, struct err *e)
{
        *s = (struct spool){.fd = -1, .limit = limit};
        s->buffer = malloc(BUFFER_BYTES);
        if (!s->buffer)
                return err_set(e, ERR_NO_MEMORY, "no memory for a temporary file");
        s->fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
        if (s->fd < 0)
                return err_errno(e, errno, "a temporary file in %s", dir);
        return 0;
}

void spool_close(struct spool *s)
{
        if (s->map)
                munmap(s->map, s->len);
        if (s->fd >= 0)
                close(s->fd);
        free(s->buffer);
        *s = (struct spool){.fd = -1};
}

static int put(struct spool *s, const void *bytes, size_t len, struct err *e)
{
        return file_put(s->fd, bytes, len) ? 0 : err_errno(e, errno, "storing images");
}

static int flush(struct spool *s, struct err *e)
{
        int rc = put(s, s->buffer, s->held, e);
        s->held = 0;
        return rc;
}

int spool_add(struct spool *s, const void *bytes, size_t len, struct err *e)
{
        if (len > s->limit - s->len)
                return err_set(e, ERR_TOO_LARGE, "the images fill more than %llu MiB",
                        (unsigned long long)(s->limit >> 20));
        int rc = s->held + len > BUFFER_BYTES ? flush(s, e) : 0;
        if (rc == 0 && len > BUFFER_BYTES)
                rc = put(s, bytes, len, e);
        else if (rc == 0) {
                memcpy(s->buffer + s->held, bytes, len);
                s->held += len;
        }
        if (rc == 0)
                s->len += len;
        return rc;
}

int spool_map(struct spool *s, const unsigned char **ret, struct err *e)
{
        int rc = flush(s, e);
        if (rc != 0)
                return rc;
        if (s->len == 0) {
                *ret = (const unsigned char *)"";
                return 0;
        }
        void *map = mmap(NULL, s->len, PROT_READ, MAP_SHARED, s->fd, 0);
        if (map == MAP_FAILED)
                return err_errno(e, errno, "reading images back");
        s->map = map;
        *ret = map;
        return 0;
}
