/* Errors: what went wrong, where in the input, and what the device's compiler said about it. */
#ifndef CNND_ERR_H
#define CNND_ERR_H

#include <stdarg.h>

/* One table: code, value, name for those who look. Values are negative and part of the worker protocol:
 * append. */
#define ERR_LIST(X)                                                                                          \
        X(ERR_INTERNAL, -1, "internal")   /* a defect of cnnd's own */                                       \
        X(ERR_NO_MEMORY, -2, "no_memory") /* host memory */                                                  \
        X(ERR_SYNTAX, -3, "syntax")       /* not JSON, not the format it claims to be */                     \
        X(ERR_INVALID, -4, "invalid")     /* well-formed but wrong; `pointer` may name the field */          \
        X(ERR_NOT_FOUND, -5, "not_found")                                                                    \
        X(ERR_STATE, -6, "state") /* the object's state does not allow it */                                 \
        X(ERR_TOO_LARGE, -7, "too_large")                                                                    \
        X(ERR_MEDIA, -8, "media") /* a media type nobody here reads */                                       \
        X(ERR_QUOTA, -9, "quota")                                                                            \
        X(ERR_UNAVAILABLE, -10, "unavailable") /* draining, or no device ready */                            \
        X(ERR_DISK, -11, "disk")               /* disk full */                                               \
        X(ERR_IO, -12, "io")                                                                                 \
        X(ERR_DEVICE, -13, "device") /* an OpenCL call failed */                                             \
        X(ERR_DEVICE_MEMORY, -14, "device_memory")                                                           \
        X(ERR_BUILD, -15, "build") /* kernels do not compile; `log` has the compiler's tail */               \
        X(ERR_CANCELLED, -16, "cancelled")                                                                   \
        X(ERR_CLOSED, -17, "closed") /* the peer hung up */                                                  \
        X(ERR_EXISTS, -18, "exists")                                                                         \
        X(ERR_DENIED, -19, "denied")                                                                         \
        X(ERR_LOGIN, -20, "login") /* nobody knows who asks */                                               \
        X(ERR_LOST, -21, "lost")   /* the device or its context is of no use to this process any more */

enum err_code {
#define X(code, value, name) code = value,
        ERR_LIST(X)
#undef X
};

/* Plain data, no ownership: may be copied and dropped. All zero means no error. */
struct err {
        int code;          /* 0 or ERR_… */
        int cl;            /* the OpenCL status, 0 where none */
        char pointer[192]; /* RFC 6901 pointer to the field at fault, "" where none */
        char message[640]; /* one sentence for a person, without the pointer */
        char log[1024];    /* tail of a build log, "" where none */
};

/* Fills *e and returns `code`, so that a caller can `return err_set(e, …)`. `e` may be NULL. */
int err_set(struct err *e, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* The same with the JSON pointer of the field at fault. */
int err_at(struct err *e, int code, const char *pointer, const char *fmt, ...)
        __attribute__((format(printf, 4, 5)));
/* ERR_DISK, ERR_UNAVAILABLE (no descriptor left), ERR_NO_MEMORY, ERR_NOT_FOUND, ERR_DENIED or ERR_IO by
 * `errnum`; the message ends in its text. */
int err_errno(struct err *e, int errnum, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Puts context before the message: "context: message". Returns e->code (ERR_INTERNAL where e is NULL). */
int err_wrap(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Puts `prefix` before the pointer: "/architecture" + "/layers/3". Returns e->code. */
int err_prefix(struct err *e, const char *prefix);
/* What a person can do about a device or a driver that failed, or a lack of memory; "" for other errors, and
   where not the driver but cnnd itself found that a device's memory does not do: it says so. */
const char *err_advice(const struct err *e);
/* "invalid" for ERR_INVALID; "unknown" for a value that is none of the table's. */
const char *err_name(int code);

#endif
