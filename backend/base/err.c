#include "base/err.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

__attribute__((format(printf, 4, 0))) static int err_fill(
        struct err *e, int code, const char *pointer, const char *fmt, va_list ap)
{
        if (!e)
                return code;
        memset(e, 0, sizeof *e);
        e->code = code;
        snprintf(e->pointer, sizeof e->pointer, "%s", pointer);
        vsnprintf(e->message, sizeof e->message, fmt, ap);
        return code;
}

int err_set(struct err *e, int code, const char *fmt, ...)
{
        va_list ap;
        va_start(ap, fmt);
        err_fill(e, code, "", fmt, ap);
        va_end(ap);
        return code;
}

int err_at(struct err *e, int code, const char *pointer, const char *fmt, ...)
{
        va_list ap;
        va_start(ap, fmt);
        err_fill(e, code, pointer, fmt, ap);
        va_end(ap);
        return code;
}

static int code_of_errno(int errnum)
{
        switch (errnum) {
        case ENOSPC:
#ifdef EDQUOT /* not on Windows */
        case EDQUOT:
#endif
        case EFBIG:
                return ERR_DISK;
        case EMFILE:
        case ENFILE:
                return ERR_UNAVAILABLE;
        case ENOMEM:
                return ERR_NO_MEMORY;
        case ENOENT:
                return ERR_NOT_FOUND;
        case EACCES:
        case EPERM:
                return ERR_DENIED;
        case EEXIST:
                return ERR_EXISTS;
        case EPIPE:
        case ECONNRESET:
                return ERR_CLOSED;
        default:
                return ERR_IO;
        }
}

int err_errno(struct err *e, int errnum, const char *fmt, ...)
{
        int code = code_of_errno(errnum);
        va_list ap;
        va_start(ap, fmt);
        err_fill(e, code, "", fmt, ap);
        va_end(ap);
        if (e) {
                size_t used = strlen(e->message);
                snprintf(e->message + used, sizeof e->message - used, ": %s", strerror(errnum));
        }
        return code;
}

int err_wrap(struct err *e, const char *fmt, ...)
{
        if (!e)
                return ERR_INTERNAL;
        char inner[sizeof e->message];
        memcpy(inner, e->message, sizeof inner);
        va_list ap;
        va_start(ap, fmt);
        int n = vsnprintf(e->message, sizeof e->message, fmt, ap);
        va_end(ap);
        if (n < 0)
                n = 0;
        if ((size_t)n < sizeof e->message)
                snprintf(e->message + n, sizeof e->message - (size_t)n, ": %.600s", inner);
        return e->code;
}

int err_prefix(struct err *e, const char *prefix)
{
        if (!e)
                return ERR_INTERNAL;
        char inner[sizeof e->pointer];
        memcpy(inner, e->pointer, sizeof inner);
        snprintf(e->pointer, sizeof e->pointer, "%s%s", prefix, inner);
        return e->code;
}

const char *err_advice(const struct err *e)
{
        switch (e->code) {
        case ERR_NO_MEMORY:
                return "the machine is short of memory: try again when less runs on it";
        case ERR_DEVICE_MEMORY:
                return e->cl ? "the device is short of memory: try again when less runs on it, choose a "
                               "smaller "
                               "batch_size, or another device"
                             : "";
        case ERR_BUILD:
                return "the driver does not compile cnnd's kernels: update it or choose another device";
        case ERR_DEVICE:
        case ERR_LOST:
                return "the driver failed: try again, update it or choose another device; GET /v1/devices "
                       "and "
                       "the daemon's log tell more";
        default:
                return "";
        }
}

const char *err_name(int code)
{
        switch (code) {
#define X(code_, value, name)                                                                                \
        case code_:                                                                                          \
                return name;
                ERR_LIST(X)
#undef X
        default:
                return "unknown";
        }
}
