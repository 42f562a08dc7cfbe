#include "daemon/store/twin.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

enum { PIECE_BYTES = 1 << 20 };

/* False with errno set. */
static bool copy_all(int from, int to, char *piece)
{
        ssize_t n;
        do {
                n = read(from, piece, PIECE_BYTES);
                if (n > 0 && !file_put(to, piece, (size_t)n))
                        return false;
        } while (n > 0 || (n < 0 && errno == EINTR));
        return n == 0 && fsync(to) == 0;
}

static int copy(const char *from, const char *to, const char *what, struct err *e)
{
        int in = -1, out = -1, rc = 0;
        char *piece = malloc(PIECE_BYTES);
        if (!piece)
                return err_set(e, ERR_NO_MEMORY, "no memory to copy %s", what);
        in = open(from, O_RDONLY | O_CLOEXEC);
        if (in >= 0)
                out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (out < 0 || !copy_all(in, out, piece))
                rc = err_errno(e, errno, "%s", what);
        if (out >= 0 && close(out) != 0 && rc == 0)
                rc = err_errno(e, errno, "%s", what);
        if (rc && out >= 0)
                unlink(to);
        if (in >= 0)
                close(in);
        free(piece);
        return rc;
}

int twin_make(const char *from, const char *to, const char *what, struct err *e)
{
        if (link(from, to) == 0)
                return 0;
        return errno == EXDEV ? copy(from, to, what, e) : err_errno(e, errno, "%s", what);
}
