#include "daemon/body.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int too_large(const struct body *b, struct err *e)
{
        if (b->limit == 0)
                return err_set(e, ERR_TOO_LARGE, "this request takes no body");
        return err_set(e, ERR_TOO_LARGE, "the body is larger than %lld bytes", (long long)b->limit);
}

int body_open_file(struct body_budget *budget, struct err *e)
{
        if (budget->files >= budget->file_limit)
                return err_set(e, ERR_UNAVAILABLE, "too many files under way at once, try again soon");
        budget->files++;
        return 0;
}

void body_close_file(struct body_budget *budget)
{
        budget->files--;
}

static int make_file(struct body *b, struct err *e)
{
        char path[4096];
        int n = snprintf(path, sizeof path, "%s/upload-XXXXXX", b->budget->tmp_dir);
        if (n < 0 || n >= (int)sizeof path)
                return err_set(e, ERR_IO, "the temporary folder's name is too long");
        int fd = mkostemp(path, O_CLOEXEC);
        if (fd < 0)
                return err_errno(e, errno, "a file for the body");
        b->path = strdup(path);
        if (!b->path) {
                unlink(path);
                close(fd);
                return err_set(e, ERR_NO_MEMORY, "no memory for the body");
        }
        b->fd = fd;
        return 0;
}

static int open_file(struct body *b, struct err *e)
{
        int rc = body_open_file(b->budget, e);
        if (rc)
                return rc;
        rc = make_file(b, e);
        if (rc)
                body_close_file(b->budget);
        return rc;
}

/* 0 or an errno. */
static int close_file(struct body *b)
{
        int fd = b->fd;
        if (fd < 0)
                return 0;
        b->fd = -1;
        body_close_file(b->budget);
        return close(fd) == 0 ? 0 : errno;
}

int body_begin(struct body *b, struct body_budget *budget, bool to_file, int64_t limit, int64_t length,
        struct err *e)
{
        *b = (struct body){.budget = budget, .limit = limit, .fd = -1, .to_file = to_file};
        if (length > limit)
                return too_large(b, e);
        return to_file ? open_file(b, e) : 0;
}

static int take_to_file(struct body *b, const char *bytes, size_t len, struct err *e)
{
        while (len) {
                ssize_t n = write(b->fd, bytes, len);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return err_errno(e, errno, "storing the body");
                bytes += n;
                len -= (size_t)n;
        }
        return 0;
}

static int take_to_memory(struct body *b, const char *bytes, size_t len, struct err *e)
{
        if ((int64_t)len > b->budget->limit_bytes - b->budget->used_bytes)
                return err_set(e, ERR_UNAVAILABLE, "too many large bodies at once, try again soon");
        str_add_bytes(&b->text, bytes, len);
        if (b->text.failed)
                return err_set(e, ERR_NO_MEMORY, "no memory for the body");
        b->budget->used_bytes += (int64_t)len;
        return 0;
}

int body_take(struct body *b, const void *bytes, size_t len, struct err *e)
{
        if ((int64_t)len > b->limit - b->received)
                return too_large(b, e);
        int rc = b->to_file ? take_to_file(b, bytes, len, e) : take_to_memory(b, bytes, len, e);
        if (rc == 0)
                b->received += (int64_t)len;
        return rc;
}

int body_end(struct body *b, struct err *e)
{
        int errnum = close_file(b);
        return errnum ? err_errno(e, errnum, "storing the body") : 0;
}

void body_finish(struct body *b)
{
        if (b->to_file)
                close_file(b); /* what could not be stored is thrown away */
        if (b->path) {
                unlink(b->path);
                free(b->path);
        }
        if (b->budget && !b->to_file)
                b->budget->used_bytes -= b->received;
        str_free(&b->text);
        *b = (struct body){.fd = -1};
}
