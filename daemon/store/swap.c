#include "daemon/store/swap.h"

#include "base/file.h"
#include "base/log.h"
#include "daemon/store/twin.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The name on its way in, as of a file of base/file.h; the one that is kept; an empty file beside what nobody
   has been told of. */
static const char fresh_prefix[] = ".new-", old_prefix[] = ".old-", mark_prefix[] = ".unsettled-";

static void path_of(char out[PATH_MAX], const char *dir, const char *prefix, const char *name)
{
        snprintf(out, PATH_MAX, "%s/%s%s", dir, prefix, name);
}

/* Keeps what is there, if anything, and lets `file` take its place. */
static int replace(const char *dir, const char *name, const char *file, struct err *e)
{
        char path[PATH_MAX], fresh[PATH_MAX], old[PATH_MAX];
        path_of(path, dir, "", name);
        path_of(fresh, dir, fresh_prefix, name);
        path_of(old, dir, old_prefix, name);
        unlink(fresh);
        unlink(old);
        if (link(path, old) != 0 && errno != ENOENT)
                return err_errno(e, errno, "%s", name);
        int rc = twin_make(file, fresh, name, e);
        if (rc == 0 && rename(fresh, path) != 0)
                rc = err_errno(e, errno, "%s", name);
        /* Renaming onto another name of the same file does nothing and leaves the first name. */
        unlink(fresh);
        if (rc)
                unlink(old);
        return rc;
}

static int put_aside(const char *dir, const char *name, struct err *e)
{
        char path[PATH_MAX], old[PATH_MAX];
        path_of(path, dir, "", name);
        path_of(old, dir, old_prefix, name);
        unlink(old);
        return rename(path, old) == 0 || errno == ENOENT ? 0 : err_errno(e, errno, "%s", name);
}

/* Made durable by the sync of the folder that makes the file so. */
static int mark(const char *dir, const char *name, struct err *e)
{
        char path[PATH_MAX];
        path_of(path, dir, mark_prefix, name);
        int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        if (fd < 0)
                return err_errno(e, errno, "%s", name);
        close(fd);
        return 0;
}

static void unmark(const char *dir, const char *name)
{
        char path[PATH_MAX];
        path_of(path, dir, mark_prefix, name);
        unlink(path);
}

static int sync_change(const char *dir, const char *name, struct err *e)
{
        int rc = file_sync_folder(dir, name, e);
        if (rc)
                swap_end(dir, name, false);
        return rc;
}

int swap_begin(const char *dir, const char *name, const char *file, struct err *e)
{
        int rc = mark(dir, name, e);
        if (rc)
                return rc;
        rc = replace(dir, name, file, e);
        if (rc)
                unmark(dir, name);
        return rc ? rc : sync_change(dir, name, e);
}

int swap_away(const char *dir, const char *name, struct err *e)
{
        int rc = put_aside(dir, name, e);
        return rc ? rc : sync_change(dir, name, e);
}

void swap_end(const char *dir, const char *name, bool stays)
{
        char path[PATH_MAX], old[PATH_MAX];
        struct err e;
        path_of(path, dir, "", name);
        path_of(old, dir, old_prefix, name);
        if (!stays && rename(old, path) != 0) {
                if (errno !=
                        ENOENT) { /* as if cnnd had ended here: the next start finds both, and the mark */
                        log_line(LOG_ERROR, "%s stays in the place of %s: %s", path, old, strerror(errno));
                        return;
                }
                unlink(path);
        }
        unlink(old);
        unmark(dir, name);
        if (!stays && file_sync_folder(dir, path, &e)) /* a refusal holds over power loss, too */
                log_line(LOG_ERROR, "%s", e.message);
}

static bool there(const char *dir, const char *prefix, const char *name)
{
        char path[PATH_MAX];
        path_of(path, dir, prefix, name);
        return access(path, F_OK) == 0;
}

/* Of what a disk does not tell, neither is true. */
static bool absent(const char *dir, const char *name)
{
        return !there(dir, "", name) && errno == ENOENT;
}

bool swap_came(const char *dir, const char *name)
{
        return there(dir, mark_prefix, name);
}

bool swap_went(const char *dir, const char *name)
{
        return there(dir, old_prefix, name) && absent(dir, name);
}

static bool begins(const char *name, const char *prefix)
{
        return strncmp(name, prefix, strlen(prefix)) == 0;
}

/* Of a file that is not told of any more. */
static bool idle(const char *dir, const char *file, bool all)
{
        if (begins(file, old_prefix)) {
                const char *name = file + sizeof old_prefix - 1;
                return there(dir, "", name) || (all && absent(dir, name));
        }
        return begins(file, fresh_prefix) ||
               (begins(file, mark_prefix) && absent(dir, file + sizeof mark_prefix - 1));
}

int swap_tidy(const char *dir, bool all, struct err *e)
{
        const struct dirent *file;
        DIR *d = opendir(dir);
        if (!d)
                return errno == ENOENT ? 0 : err_errno(e, errno, "%s", dir);
        while (errno = 0, (file = readdir(d)) != NULL)
                if (idle(dir, file->d_name, all))
                        unlinkat(dirfd(d), file->d_name, 0);
        int rc = errno ? err_errno(e, errno, "%s", dir) : 0;
        closedir(d);
        return rc;
}
