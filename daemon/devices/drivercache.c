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
#include <unistd.h>

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

/* On the disk, of all below a folder, whose descriptor is taken, or of its programs alone. What goes
   meanwhile does not count. */
static uint64_t bytes_below(int folder, bool programs)
{
        struct stat st;
        uint64_t bytes = 0;
        DIR *dir = folder < 0 ? NULL : fdopendir(folder);
        if (!dir) {
                if (folder >= 0)
                        close(folder);
                return 0;
        }
        for (const struct dirent *file; (file = readdir(dir)) != NULL;) {
                const bool up = strcmp(file->d_name, ".") == 0 || strcmp(file->d_name, "..") == 0;
                if (up || (programs && !is_program(file->d_name)) ||
                        fstatat(dirfd(dir), file->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
                        continue;
                bytes += (uint64_t)st.st_blocks * 512;
                if (S_ISDIR(st.st_mode))
                        bytes += bytes_below(openat(dirfd(dir), file->d_name,
                                                     O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC),
                                false);
        }
        closedir(dir);
        return bytes;
}

static uint64_t bytes_in(const char *path, bool programs)
{
        return bytes_below(open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), programs);
}

static int remove_folder(const char *path, struct err *e)
{
        return nftw(path, remove_one, OPEN_FOLDERS, FTW_DEPTH | FTW_PHYS) != 0 && errno != ENOENT
                       ? err_errno(e, errno, "removing %s", path)
                       : 0;
}

/* By way of another name: of what is half removed a driver would make what it likes. */
static int remove_by(const char *aside, const char *path, struct err *e)
{
        int rc = remove_folder(aside, e);
        if (rc == 0 && rename(path, aside) != 0 && errno != ENOENT)
                rc = err_errno(e, errno, "moving %s", path);
        return rc ? rc : remove_folder(aside, e);
}

static int remove_programs(const char *folder, struct err *e)
{
        int rc = 0;
        DIR *dir = opendir(folder);
        for (const struct dirent *file; dir && rc == 0 && (file = readdir(dir)) != NULL;)
                if (is_program(file->d_name) && unlinkat(dirfd(dir), file->d_name, 0) != 0 && errno != ENOENT)
                        rc = err_errno(e, errno, "removing %s", file->d_name);
        if (dir)
                closedir(dir);
        return rc;
}

int drivercache_trim(const char *state_dir, const char *id, uint64_t most, uint64_t *ret_freed, struct err *e)
{
        struct str path = {0}, aside = {0}, own = {0};
        uint64_t driver = 0, programs = 0;
        int rc = path_of(&path, state_dir, id, "", e);
        if (rc == 0)
                rc = path_of(&aside, state_dir, id, ".old", e);
        str_addf(&own, "%s/cache", state_dir);
        if (rc == 0 && own.failed)
                rc = err_set(e, ERR_NO_MEMORY, "no memory for a path");
        if (rc == 0) {
                driver = bytes_in(path.data, false);
                programs = bytes_in(own.data, true);
        }
        if (rc == 0)
                rc = driver > most ? remove_by(aside.data, path.data, e) : remove_folder(aside.data, e);
        if (rc == 0 && driver > most)
                (void)mkdir(path.data, 0700); /* as drivercache_use has it */
        if (rc == 0 && programs > most)
                rc = remove_programs(own.data, e);
        str_free(&path);
        str_free(&aside);
        str_free(&own);
        if (rc == 0)
                *ret_freed = (driver > most ? driver : 0) + (programs > most ? programs : 0);
        return rc;
}

int drivercache_put_aside(const char *state_dir, const char *id, int *ret_moved, struct err *e)
{
        struct str path = {0}, aside = {0};
        int moved = 0, rc = path_of(&path, state_dir, id, "", e);
        if (rc == 0)
                rc = path_of(&aside, state_dir, id, ".bad", e);
        if (rc == 0)
                rc = remove_folder(aside.data, e);
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
