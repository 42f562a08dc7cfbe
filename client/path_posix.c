#include "client/path.h"
#include "base/file.h"
#include "base/str.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct path_file {
        int fd;
        char *path; /* owned, for messages */
};

static struct path_info info_of(const struct stat *st)
{
        return (struct path_info){.regular = S_ISREG(st->st_mode),
                .folder = S_ISDIR(st->st_mode),
                .size = (uint64_t)st->st_size,
                .mtime = st->st_mtime};
}

int path_look(const char *path, struct path_info *ret, struct err *e)
{
        struct stat st;
        if (stat(path, &st) != 0)
                return err_errno(e, errno, "cannot look at %s", path);
        *ret = info_of(&st);
        return 0;
}

int path_open(const char *path, struct path_file **ret, struct path_info *ret_info, struct err *e)
{
        const char *name = path ? path : "standard input";
        struct stat st;
        int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : STDIN_FILENO;
        if (fd < 0)
                return err_errno(e, errno, "cannot open %s", name);
        int rc = fstat(fd, &st) != 0 ? err_errno(e, errno, "cannot look at %s", name) : 0;
        struct path_file *f = rc == 0 ? calloc(1, sizeof *f) : NULL;
        if (f)
                *f = (struct path_file){fd, strdup(name)};
        if (!f || !f->path) {
                if (path)
                        close(fd);
                free(f);
                return rc ? rc : err_set(e, ERR_NO_MEMORY, "no memory to open %s", name);
        }
        if (ret_info)
                *ret_info = info_of(&st);
        *ret = f;
        return 0;
}

/* A file in `folder` whose name is gone before anybody can open it; its descriptor, or -1 with errno. */
static int open_nameless(const char *folder)
{
        struct str name = {0};
        str_addf(&name, "%s/cnnctl-XXXXXX", folder);
        const int fd = name.failed ? -1 : mkostemp(name.data, O_CLOEXEC),
                  errnum = name.failed ? ENOMEM : errno;
        if (fd >= 0)
                unlink(name.data);
        str_free(&name);
        errno = errnum;
        return fd;
}

int path_spool(struct path_file **ret, struct err *e)
{
        const char *own = getenv("TMPDIR"), *folder = own && own[0] ? own : "/var/tmp";
        struct str words = {0};
        int fd = open_nameless(folder);
        if (fd < 0 && folder != own)
                fd = open_nameless(folder = "/tmp");
        if (fd < 0)
                return err_errno(
                        e, errno, "cannot create a file in %s (TMPDIR names another folder)", folder);
        str_addf(&words, "a temporary file in %s (TMPDIR names another folder)", folder);
        struct path_file *f = calloc(1, sizeof *f);
        if (f)
                *f = (struct path_file){fd, str_take(&words)};
        str_free(&words);
        if (!f || !f->path) {
                close(fd);
                free(f);
                return err_set(e, ERR_NO_MEMORY, "no memory for a temporary file");
        }
        *ret = f;
        return 0;
}

int path_write(struct path_file *f, const void *bytes, size_t len, struct err *e)
{
        return file_put(f->fd, bytes, len) ? 0 : err_errno(e, errno, "cannot write %s", f->path);
}

int64_t path_read_at(struct path_file *f, uint64_t at, void *bytes, size_t len, struct err *e)
{
        ssize_t n;
        do {
                n = pread(f->fd, bytes, len, (off_t)at);
        } while (n < 0 && errno == EINTR);
        return n < 0 ? err_errno(e, errno, "cannot read %s", f->path) : n;
}

int64_t path_read(struct path_file *f, void *bytes, size_t len, struct err *e)
{
        ssize_t n;
        do {
                n = read(f->fd, bytes, len);
        } while (n < 0 && errno == EINTR);
        return n < 0 ? err_errno(e, errno, "cannot read %s", f->path) : n;
}

void path_close(struct path_file *f)
{
        if (!f)
                return;
        if (f->fd != STDIN_FILENO)
                close(f->fd);
        free(f->path);
        free(f);
}

int path_list(const char *folder, path_visitor visit, void *data, struct err *e)
{
        DIR *dir = opendir(folder);
        if (!dir)
                return err_errno(e, errno, "cannot read the folder %s", folder);
        int rc = 0;
        errno = 0;
        for (struct dirent *d; rc == 0 && (d = readdir(dir)) != NULL; errno = 0)
                if (d->d_name[0] != '.')
                        rc = visit(data, d->d_name, e);
        if (rc == 0 && errno != 0)
                rc = err_errno(e, errno, "cannot read the folder %s", folder);
        closedir(dir);
        return rc;
}
