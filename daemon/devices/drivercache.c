#include "daemon/devices/drivercache.h"

#include "base/str.h"
#include "device/dev.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { OPEN_FOLDERS = 16 };

static int path_of(struct str *out, const char *state_dir, const char *id, const char *suffix, struct err *e)
{
        str_addf(out, "%s/cache/driver/%s%s", state_dir, id, suffix);
        return out->failed ? err_set(e, ERR_NO_MEMORY, "no memory for a path") : 0;
}

int drivercache_use(const char *state_dir, const char *id, struct err *e)
{
        struct str path = {0};
        int rc = path_of(&path, state_dir, "", "", e);
        if (rc == 0) { /* drivers work without it, so that a full disk is no matter */
                (void)mkdir(path.data, 0700);
                str_add(&path, id);
                rc = path.failed ? err_set(e, ERR_NO_MEMORY, "no memory for a path") : 0;
        }
        if (rc == 0) {
                (void)mkdir(path.data, 0700);
                rc = dev_driver_cache(path.data, e);
        }
        str_free(&path);
        return rc;
}

/* 2 entries, itself and its parent, are in any folder. */
bool drivercache_empty(const char *state_dir, const char *id)
{
        struct str path = {0};
        int entries = 0;
        if (dev_driver_cache_chosen() || path_of(&path, state_dir, id, "", NULL)) {
                str_free(&path);
                return false;
        }
        DIR *folder = opendir(path.data);
        bool empty = !folder && errno == ENOENT;
        while (folder && entries < 3 && readdir(folder))
                entries++;
        if (folder) {
                empty = entries <= 2;
                closedir(folder);
        }
        str_free(&path);
        return empty;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
        (void)st;
        (void)kind;
        (void)at;
        return remove(path);
}

static bool is_program(const char *name)
{
        const char *dot = strrchr(name, '.');
        return dot && strcmp(dot, ".bin") == 0;
}

/* The programs that cnnd keeps itself (device/cache.h), of which nobody knows whose they are: to `aside`,
   which is made where there are some. */
static int move_programs(const char *state_dir, const char *aside, int *moved, struct err *e)
{
        struct str folder = {0}, to = {0};
        int rc = 0;
        str_addf(&folder, "%s/cache", state_dir);
        DIR *dir = folder.failed ? NULL : opendir(folder.data);
        const struct dirent *file;
        while (rc == 0 && dir && (file = readdir(dir)) != NULL) {
                if (!is_program(file->d_name))
                        continue;
                str_clear(&to);
                str_addf(&to, "%s/%s", aside, file->d_name);
                (void)mkdir(aside, 0700);
                if (to.failed)
                        rc = err_set(e, ERR_NO_MEMORY, "no memory for a path");
                else if (renameat(dirfd(dir), file->d_name, AT_FDCWD, to.data) == 0)
                        *moved = 1;
                else if (errno != ENOENT) /* another device's worker may just have dropped it */
                        rc = err_errno(e, errno, "moving %s", file->d_name);
        }
        if (dir)
                closedir(dir);
        str_free(&folder);
        str_free(&to);
        return rc;
}

int drivercache_put_aside(const char *state_dir, const char *id, int *ret_moved, struct err *e)
{
        struct str path = {0}, aside = {0};
        int moved = 0, rc = path_of(&path, state_dir, id, "", e);
        if (rc == 0)
                rc = path_of(&aside, state_dir, id, ".bad", e);
        if (rc == 0 && nftw(aside.data, remove_one, OPEN_FOLDERS, FTW_DEPTH | FTW_PHYS) != 0 &&
                errno != ENOENT)
                rc = err_errno(e, errno, "removing %s", aside.data);
        if (rc == 0) {
                moved = rename(path.data, aside.data) == 0;
                if (!moved && errno != ENOENT)
                        rc = err_errno(e, errno, "moving %s", path.data);
        }
        if (rc == 0)
                rc = move_programs(state_dir, aside.data, &moved, e);
        str_free(&path);
        str_free(&aside);
        if (rc == 0)
                *ret_moved = moved;
        return rc;
}
