#include "daemon/drivercache.h"

#include "base/str.h"
#include "device/dev.h"

#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
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
        str_free(&path);
        str_free(&aside);
        if (rc == 0)
                *ret_moved = moved;
        return rc;
}
