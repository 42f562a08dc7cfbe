/* A disk that fails, preloaded: of files whose path holds the text that stands in the file CNND_BADDISK the
   byte of the number behind it cannot be read, any where there is none, and faults come where one is mapped,
   as the kernel has it. Nothing fails while that file is not there. With CNND_BADDISK_SYNC_MS every sync
   takes so long, and adds a byte to the file CNND_BADDISK_SYNCS. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* *ret_byte is -1 for any. */
static bool bad(int fd, off64_t *ret_byte)
{
        char text[256], link[64], path[PATH_MAX];
        const char *flag = getenv("CNND_BADDISK");
        const int from = flag ? open(flag, O_RDONLY | O_CLOEXEC) : -1;
        if (from < 0)
                return false;
        const ssize_t n = read(from, text, sizeof text - 1);
        close(from);
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        const ssize_t m = n > 0 ? readlink(link, path, sizeof path - 1) : 0;
        if (m <= 0)
                return false;
        text[n] = path[m] = '\0';
        char *blank = strchr(text, ' ');
        *ret_byte = blank ? atoll(blank) : -1;
        if (blank)
                *blank = '\0';
        return strstr(path, text) != NULL;
}

ssize_t pread64(int fd, void *out, size_t len, off64_t at)
{
        off64_t byte;
        if (bad(fd, &byte) && (byte < 0 || (byte >= at && byte < at + (off64_t)len))) {
                errno = EIO;
                return -1;
        }
        return syscall(SYS_pread64, fd, out, len, at);
}

static void wait_for_disk(void)
{
        const char *ms = getenv("CNND_BADDISK_SYNC_MS"), *path = getenv("CNND_BADDISK_SYNCS");
        if (!ms)
                return;
        usleep((useconds_t)atoi(ms) * 1000);
        const int fd = path ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
        if (fd >= 0 && write(fd, "", 1) != 1)
                abort();
        if (fd >= 0)
                close(fd);
}

int fdatasync(int fd)
{
        wait_for_disk();
        return (int)syscall(SYS_fdatasync, fd);
}

int fsync(int fd)
{
        wait_for_disk();
        return (int)syscall(SYS_fsync, fd);
}

/* What lies behind a file's end cannot be touched. */
void *mmap64(void *where, size_t len, int protection, int flags, int fd, off64_t at)
{
        off64_t byte;
        void *(*real)(void *, size_t, int, int, int, off64_t) =
                (void *(*)(void *, size_t, int, int, int, off64_t))dlsym(RTLD_NEXT, "mmap64");
        return real(
                where, len, protection, flags, fd, fd >= 0 && bad(fd, &byte) ? at + ((off64_t)1 << 40) : at);
}
