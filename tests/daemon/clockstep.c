/* A wall clock that is set while programs run, preloaded: from then on it is as many seconds ahead as stand
   in the file CNND_CLOCK. The kernel, which waits by its own, is not deceived: whoever has it wait until a
   moment of the wall clock waits for too long, or not at all. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static long seconds_ahead(void)
{
        char text[32];
        const char *path = getenv("CNND_CLOCK");
        const int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
        const ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : 0;
        if (fd >= 0)
                close(fd);
        text[n > 0 ? n : 0] = '\0';
        return atol(text);
}

int clock_gettime(clockid_t clock, struct timespec *ret)
{
        const int rc = (int)syscall(SYS_clock_gettime, clock, ret);
        if (rc == 0 && clock == CLOCK_REALTIME)
                ret->tv_sec += seconds_ahead();
        return rc;
}
