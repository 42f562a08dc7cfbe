#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static const char temp_name[] = ".new-XXXXXX";

struct file_new {
        int fd;
        size_t dir_len; /* of `path`'s folder with its last slash, 0 for the working folder */
        char *path, *temp;
};

static void file_free(struct file_new *f)
{
        if (f->fd >= 0)
                close(f->fd);
        free(f->path);
        free(f->temp);
        free(f);
}

int file_create(const char *path, struct file_new **ret, struct err *e)
{
        const char *slash = strrchr(path, '/');
        struct file_new *f = calloc(1, sizeof *f);
        if (!f)
                return err_set(e, ERR_NO_MEMORY, "no memory to write %s", path);
        f->fd = -1;
        f->dir_len = slash ? (size_t)(slash - path) + 1 : 0;
        f->path = strdup(path);
        f->temp = malloc(f->dir_len + sizeof temp_name);
        if (!f->path || !f->temp) {
                file_free(f);
                return err_set(e, ERR_NO_MEMORY, "no memory to write %s", path);
        }
        memcpy(f->temp, path, f->dir_len);
        memcpy(f->temp + f->dir_len, temp_name, sizeof temp_name);
        f->fd = mkostemp(f->temp, O_CLOEXEC);
        if (f->fd < 0) {
                int errnum = errno;
                file_free(f);
                return err_errno(e, errnum, "cannot create a file beside %s", path);
        }
        *ret = f;
        return 0;
}

bool file_put(int fd, const void *bytes, size_t len)
{
        const char *p = bytes;
        while (len) {
                ssize_t n = write(fd, p, len);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return false;
                p += n;
                len -= (size_t)n;
        }
        return true;
}

int file_write(struct file_new *f, const void *bytes, size_t len, struct err *e)
{
        return file_put(f->fd, bytes, len) ? 0 : err_errno(e, errno, "cannot write %s", f->path);
}

int file_share(struct file_new *f, struct err *e)
{
        mode_t mask = umask(0);
        umask(mask);
        return fchmod(f->fd, 0666 & ~mask) == 0 ? 0
                                                : err_errno(e, errno, "cannot set the mode of %s", f->path);
}

int file_sync_folder(const char *dir, const char *what, struct err *e)
{
        int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        int rc = 0;
        if (fd < 0 || fsync(fd) != 0)
                rc = err_errno(e, errno, "cannot sync the folder of %s", what);
        if (fd >= 0)
                close(fd);
        return rc;
}

static int sync_folder(const struct file_new *f, struct err *e)
{
        char *dir = f->dir_len ? strndup(f->path, f->dir_len) : strdup(".");
        int rc = dir ? file_sync_folder(dir, f->path, e)
                     : err_set(e, ERR_NO_MEMORY, "no memory to write %s", f->path);
        free(dir);
        return rc;
}

int file_commit(struct file_new *f, struct err *e)
{
        int rc = 0;
        if (fsync(f->fd) != 0)
                rc = err_errno(e, errno, "cannot sync %s", f->path);
        int closed = close(f->fd);
        f->fd = -1;
        if (rc == 0 && closed != 0)
                rc = err_errno(e, errno, "cannot close %s", f->path);
        if (rc == 0 && rename(f->temp, f->path) != 0)
                rc = err_errno(e, errno, "cannot rename to %s", f->path);
        if (rc != 0) {
                file_abandon(f);
                return rc;
        }
        rc = sync_folder(f, e);
        file_free(f);
        return rc;
}

void file_abandon(struct file_new *f)
{
        if (!f)
                return;
        unlink(f->temp);
        file_free(f);
}

int file_open(const char *path, int *ret_fd, uint64_t *ret_len, struct err *e)
{
        struct stat st;
        int fd = open(path, O_RDONLY | O_CLOEXEC), rc = 0;
        if (fd < 0)
                return err_errno(e, errno, "cannot open %s", path);
        if (fstat(fd, &st) != 0)
                rc = err_errno(e, errno, "cannot look at %s", path);
        else if (!S_ISREG(st.st_mode))
                rc = err_set(e, ERR_INVALID, "%s is not a regular file", path);
        else if (st.st_size == 0)
                rc = err_set(e, ERR_SYNTAX, "%s is empty", path);
        if (rc) {
                close(fd);
                return rc;
        }
        *ret_fd = fd;
        *ret_len = (uint64_t)st.st_size;
        return 0;
}

/* Of a process that guards its maps: a signal's handler is given nothing but an address. */
enum { GUARDED = 64 };
static struct {
        atomic_uintptr_t begin; /* 0: free */
        atomic_size_t len;
} guarded[GUARDED];
static int guard_status;

static void guard(void *map, size_t len)
{
        for (int i = 0; i < GUARDED && guard_status; i++) {
                uintptr_t none = 0;
                if (!atomic_compare_exchange_strong(&guarded[i].begin, &none, (uintptr_t)map))
                        continue;
                atomic_store(&guarded[i].len, len);
                return;
        }
}

static void unguard(void *map)
{
        for (int i = 0; i < GUARDED && guard_status; i++)
                if (atomic_load(&guarded[i].begin) == (uintptr_t)map) {
                        atomic_store(&guarded[i].len, 0);
                        atomic_store(&guarded[i].begin, 0);
                        return;
                }
}

static void on_fault(int signal, siginfo_t *info, void *context)
{
        const uintptr_t at = (uintptr_t)info->si_addr;
        (void)context;
        for (int i = 0; i < GUARDED; i++)
                if (at - atomic_load(&guarded[i].begin) < atomic_load(&guarded[i].len))
                        _exit(guard_status);
        sigaction(signal, &(struct sigaction){.sa_handler = SIG_DFL}, NULL); /* it comes again */
}

void file_guard_maps(int status)
{
        const struct sigaction how = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
        guard_status = status;
        sigaction(SIGBUS, &how, NULL);
}

int file_map(const char *path, void **ret, size_t *ret_len, struct err *e)
{
        uint64_t len;
        int fd, rc = file_open(path, &fd, &len, e);
        if (rc)
                return rc;
        void *map = mmap(NULL, (size_t)len, PROT_READ, MAP_PRIVATE, fd, 0);
        if (map == MAP_FAILED)
                rc = err_errno(e, errno, "cannot map %s", path);
        close(fd);
        if (rc == 0) {
                guard(map, (size_t)len);
                *ret = map;
                *ret_len = (size_t)len;
        }
        return rc;
}

void file_unmap(void *map, size_t len)
{
        if (!map)
                return;
        unguard(map);
        munmap(map, len);
}

int file_piece(int fd, const char *path, uint64_t at, void *out, size_t len, struct err *e)
{
        char *to = out;
        while (len) {
                ssize_t n = pread(fd, to, len, (off_t)at);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return err_errno(e, errno, "cannot read %s", path);
                if (n == 0)
                        return err_set(e, ERR_SYNTAX, "%s became shorter", path);
                to += n;
                at += (uint64_t)n;
                len -= (size_t)n;
        }
        return 0;
}

int file_read(const char *path, char **ret, size_t *ret_len, struct err *e)
{
        uint64_t len;
        int fd, rc = file_open(path, &fd, &len, e);
        if (rc)
                return rc;
        char *text = malloc((size_t)len + 1);
        rc = text ? file_piece(fd, path, 0, text, (size_t)len, e)
                  : err_set(e, ERR_NO_MEMORY, "no memory for %s", path);
        close(fd);
        if (rc) {
                free(text);
                return rc;
        }
        text[len] = '\0';
        *ret = text;
        *ret_len = (size_t)len;
        return 0;
}
