#include "client/path.h"

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
