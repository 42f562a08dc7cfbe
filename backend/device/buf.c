#include "device/buf.h"
#include "device/cl.h"

#include <stdlib.h>
#include <string.h>

/* PoCL and others align what they hand out to at most this; rounding keeps vector loads at a buffer's end
 * inside. */
enum { BUF_ROUND = 128 };

uint64_t buf_rounded(uint64_t bytes)
{
        return bytes ? (bytes + BUF_ROUND - 1) / BUF_ROUND * BUF_ROUND : BUF_ROUND;
}

int buf_create(struct dev *d, size_t bytes, const char *what, struct buf **ret, struct err *e)
{
        cl_int status;
        size_t size = (size_t)buf_rounded(bytes);
        d->refused++; /* until it is there */
        if (size > d->info.max_alloc_bytes)
                return err_set(e, ERR_DEVICE_MEMORY, "%s takes %zu bytes in one piece; %s allows %llu", what,
                        size, d->info.name, (unsigned long long)d->info.max_alloc_bytes);
        if (size > d->limit - d->bytes)
                return err_set(e, ERR_DEVICE_MEMORY, "%s takes %zu bytes; %llu of %llu are left on %s", what,
                        size, (unsigned long long)(d->limit - d->bytes), (unsigned long long)d->limit,
                        d->info.name);
        struct buf *b = malloc(sizeof *b);
        if (!b)
                return err_set(e, ERR_NO_MEMORY, "no memory for a buffer's record");
        b->mem = clCreateBuffer(d->ctx, CL_MEM_READ_WRITE, size, NULL, &status);
        if (status != CL_SUCCESS) {
                free(b);
                return err_cl(e, status, "%s: %zu bytes on %s", what, size, d->info.name);
        }
        b->dev = d;
        b->bytes = size;
        d->bytes += size;
        d->refused--;
        if (d->bytes > d->peak)
                d->peak = d->bytes;
        *ret = b;
        return 0;
}

void buf_destroy(struct buf *b)
{
        if (!b)
                return;
        clReleaseMemObject(b->mem);
        b->dev->bytes -= b->bytes;
        free(b);
}

static int check_range(const struct buf *b, size_t offset, size_t len, struct err *e)
{
        if (offset <= b->bytes && len <= b->bytes - offset)
                return 0;
        return err_set(
                e, ERR_INTERNAL, "bytes %zu to %zu of a buffer of %zu", offset, offset + len, b->bytes);
}

/* After a blocking copy, which has waited for the whole queue. */
static int copied(struct dev *d, cl_int status, const char *what, size_t len, struct err *e)
{
        int rc = pending_check(d, e);
        if (rc == 0 && status != CL_SUCCESS)
                rc = err_cl(e, status, "%s %zu bytes on %s", what, len, d->info.name);
        return rc;
}

int buf_write(struct buf *b, size_t offset, const void *from, size_t len, struct err *e)
{
        int rc = check_range(b, offset, len, e);
        if (rc || len == 0)
                return rc;
        cl_int status =
                clEnqueueWriteBuffer(b->dev->queue, b->mem, CL_TRUE, offset, len, from, 0, NULL, NULL);
        return copied(b->dev, status, "writing", len, e);
}

int buf_write_later(struct buf *b, size_t offset, const void *from, size_t len, struct err *e)
{
        int rc = check_range(b, offset, len, e);
        if (rc || len == 0)
                return rc;
        void *copy = malloc(len);
        if (!copy)
                return err_set(e, ERR_NO_MEMORY, "no memory to copy %zu bytes", len);
        memcpy(copy, from, len);
        cl_event event;
        cl_int status =
                clEnqueueWriteBuffer(b->dev->queue, b->mem, CL_FALSE, offset, len, copy, 0, NULL, &event);
        if (status == CL_SUCCESS)
                return pending_add_copy(b->dev, event, "a copy to the device", copy, e);
        free(copy);
        return copied(b->dev, status, "writing", len, e);
}

int buf_read(struct buf *b, size_t offset, void *to, size_t len, struct err *e)
{
        int rc = check_range(b, offset, len, e);
        if (rc || len == 0)
                return rc;
        cl_int status = clEnqueueReadBuffer(b->dev->queue, b->mem, CL_TRUE, offset, len, to, 0, NULL, NULL);
        return copied(b->dev, status, "reading", len, e);
}

int buf_zero(struct buf *b, size_t offset, size_t len, struct err *e)
{
        const unsigned char zero = 0;
        int rc = check_range(b, offset, len, e);
        if (rc || len == 0)
                return rc;
        cl_event event;
        cl_int status = clEnqueueFillBuffer(b->dev->queue, b->mem, &zero, 1, offset, len, 0, NULL, &event);
        if (status != CL_SUCCESS)
                return err_cl(e, status, "clearing %zu bytes on %s", len, b->dev->info.name);
        return pending_add(b->dev, event, "clearing memory", e);
}

int buf_repeat(struct buf *b, size_t len, struct err *e)
{
        int rc = check_range(b, 0, len, e);
        while (rc == 0 && len < b->bytes) {
                const size_t more = len < b->bytes - len ? len : b->bytes - len;
                cl_event event;
                cl_int status =
                        clEnqueueCopyBuffer(b->dev->queue, b->mem, b->mem, 0, len, more, 0, NULL, &event);
                if (status != CL_SUCCESS)
                        return err_cl(e, status, "copying %zu bytes on %s", more, b->dev->info.name);
                rc = pending_add(b->dev, event, "copying memory", e);
                len += more;
        }
        return rc;
}
