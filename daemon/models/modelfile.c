#include "daemon/models/modelfile.h"

#include "base/file.h"
#include "base/json.h"
#include "daemon/store/swap.h"
#include "model/safetensors.h"
#include "train/request.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char suffix[] = ".safetensors";

int modelfile_open(struct modelfile_home *home, const char *state_dir, struct err *e)
{
        if (asprintf(&home->dir, "%s/models", state_dir) < 0) {
                home->dir = NULL;
                return err_set(e, ERR_NO_MEMORY, "no memory for a path");
        }
        return swap_tidy(home->dir, false, e);
}

void modelfile_close(struct modelfile_home *home)
{
        free(home->dir);
        *home = (struct modelfile_home){0};
}

char *modelfile_path(const struct modelfile_home *home, const char *name)
{
        char *path = NULL;
        return asprintf(&path, "%s/%s%s", home->dir, name, suffix) < 0 ? NULL : path;
}

static void file_name(char out[NAME_MAX + 1], const char *name)
{
        snprintf(out, NAME_MAX + 1, "%s%s", name, suffix);
}

int modelfile_look(const struct modelfile_home *home, const char *name, struct err *e)
{
        char path[PATH_MAX];
        snprintf(path, sizeof path, "%s/%s%s", home->dir, name, suffix);
        if (access(path, R_OK) == 0)
                return 0;
        return err_set(e, ERR_UNAVAILABLE, "the file of model '%s' cannot be read: %s%s", name,
                strerror(errno),
                errno == ENOENT ? "; the file system that it lies on may not be mounted" : "");
}

bool modelfile_went(const struct modelfile_home *home, const char *name)
{
        char file[NAME_MAX + 1];
        file_name(file, name);
        return swap_went(home->dir, file);
}

int modelfile_place(const struct modelfile_home *home, const char *name, const char *file, struct err *e)
{
        char final[NAME_MAX + 1];
        file_name(final, name);
        return swap_begin(home->dir, final, file, e);
}

int modelfile_remove(const struct modelfile_home *home, const char *name, struct err *e)
{
        char final[NAME_MAX + 1];
        file_name(final, name);
        return swap_away(home->dir, final, e);
}

void modelfile_settle(const struct modelfile_home *home, const char *name, bool done)
{
        char final[NAME_MAX + 1];
        file_name(final, name);
        swap_end(home->dir, final, done);
}

static int64_t mtime_ns(const struct stat *st)
{
        return (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
}

static void describe(const struct modelfile_home *home, const char *file, const struct stat *st,
        struct modelfile_stat *ret)
{
        *ret = (struct modelfile_stat){.bytes = st->st_size,
                .inode = (int64_t)st->st_ino,
                .mtime_ns = mtime_ns(st),
                .unsettled = swap_came(home->dir, file)};
}

int modelfile_about(
        const struct modelfile_home *home, const char *name, struct modelfile_stat *ret, struct err *e)
{
        char path[PATH_MAX], file[NAME_MAX + 1];
        struct stat st;
        file_name(file, name);
        snprintf(path, sizeof path, "%s/%s", home->dir, file);
        if (stat(path, &st) != 0)
                return err_errno(e, errno, "the file of model '%s'", name);
        describe(home, file, &st, ret);
        return 0;
}

int modelfile_each(const struct modelfile_home *home,
        int (*each)(void *ctx, const char *name, const struct modelfile_stat *file, struct err *e), void *ctx,
        struct err *e)
{
        const struct dirent *file;
        int rc = 0;
        DIR *dir = opendir(home->dir);
        if (!dir)
                return errno == ENOENT ? 0 : err_errno(e, errno, "%s", home->dir);
        while (rc == 0 && (errno = 0, file = readdir(dir)) != NULL) {
                char name[REQUEST_NAME_MAX + 1];
                struct stat st;
                size_t n = strlen(file->d_name), tail = sizeof suffix - 1;
                if (n <= tail || n - tail > REQUEST_NAME_MAX || strcmp(file->d_name + n - tail, suffix) != 0)
                        continue;
                snprintf(name, sizeof name, "%.*s", (int)(n - tail), file->d_name);
                if (!request_name_ok(name) || fstatat(dirfd(dir), file->d_name, &st, 0) != 0)
                        continue;
                struct modelfile_stat about;
                describe(home, file->d_name, &st, &about);
                rc = each(ctx, name, &about, e);
        }
        if (rc == 0 && errno)
                rc = err_errno(e, errno, "%s", home->dir);
        closedir(dir);
        return rc;
}

int modelfile_discard(const struct modelfile_home *home, const char *name, struct err *e)
{
        char path[PATH_MAX];
        snprintf(path, sizeof path, "%s/%s%s", home->dir, name, suffix);
        return unlink(path) == 0 || errno == ENOENT ? 0 : err_errno(e, errno, "%s", path);
}

int modelfile_forget(const struct modelfile_home *home, struct err *e)
{
        return swap_tidy(home->dir, true, e);
}

/* The metadata's JSON text, checked; where it is no JSON it is a plain string. malloc'ed. */
static int read_text(const struct safetensors *st, const char *key, char **ret, struct err *e)
{
        struct err not_json;
        const char *text = safetensors_metadata(st, key);
        if (!text)
                return err_set(e, ERR_INVALID, "the file's metadata has no \"%s\"", key);
        cJSON *tree = json_parse(text, strlen(text), &not_json);
        if (!tree && not_json.code == ERR_SYNTAX)
                tree = cJSON_CreateString(text);
        *ret = json_text(tree);
        cJSON_Delete(tree);
        return *ret ? 0 : err_set(e, ERR_NO_MEMORY, "no memory for metadata");
}

static int read_input(const struct safetensors *st, int out[3], struct err *e)
{
        const char *text = safetensors_metadata(st, "input");
        struct err why = {0};
        cJSON *list = text ? json_parse(text, strlen(text), &why) : NULL;
        const cJSON *item;
        int n = 0;
        if (why.code == ERR_NO_MEMORY)
                return err_set(e, why.code, "no memory for metadata");
        cJSON_ArrayForEach(item, list)
        {
                if (n < 3 && cJSON_IsNumber(item) && item->valuedouble >= 1 && item->valuedouble <= INT_MAX)
                        out[n] = item->valueint;
                else
                        n = 3;
                n++;
        }
        cJSON_Delete(list);
        return n == 3 ? 0 : err_set(e, ERR_INVALID, "the file's metadata has no \"input\" like [1,28,28]");
}

static int read_all(const struct safetensors *st, struct modelfile *f, struct err *e)
{
        int rc = read_text(st, "architecture", &f->architecture, e);
        if (rc == 0)
                rc = read_text(st, "classes", &f->classes, e);
        if (rc == 0 && safetensors_metadata(st, "preprocessing"))
                rc = read_text(st, "preprocessing", &f->preprocessing, e);
        if (rc == 0 && f->classes[0] != '[')
                rc = err_set(e, ERR_INVALID, "the file's \"classes\" are not a list");
        return rc ? rc : read_input(st, f->input, e);
}

void modelfile_finish(struct modelfile *f)
{
        free(f->architecture);
        free(f->classes);
        free(f->preprocessing);
        *f = (struct modelfile){0};
}

/* The caller closes both. */
static int open_head(const struct modelfile_home *home, const char *name, int *ret_fd,
        struct safetensors **ret, struct err *e)
{
        uint64_t len;
        int fd = -1;
        char *path = modelfile_path(home, name);
        int rc = path ? file_open(path, &fd, &len, e) : err_set(e, ERR_NO_MEMORY, "no memory for a path");
        if (rc == 0 && (rc = safetensors_head(fd, ret, e)) != 0)
                err_wrap(e, "%s", path);
        free(path);
        if (rc == 0)
                *ret_fd = fd;
        else if (fd >= 0)
                close(fd);
        return rc;
}

int modelfile_read(const struct modelfile_home *home, const char *name, struct modelfile *ret, struct err *e)
{
        struct modelfile f = {0};
        struct safetensors *tensors = NULL;
        struct stat st;
        int fd, rc = open_head(home, name, &fd, &tensors, e);
        if (rc)
                return rc;
        if (fstat(fd, &st) != 0)
                rc = err_errno(e, errno, "the file of model '%s'", name);
        else
                f = (struct modelfile){
                        .bytes = st.st_size, .inode = (int64_t)st.st_ino, .mtime_ns = mtime_ns(&st)};
        if (rc == 0)
                rc = read_all(tensors, &f, e);
        if (rc == 0)
                rc = mark_model(tensors, fd, f.mark, e);
        safetensors_close(tensors);
        close(fd);
        if (rc)
                modelfile_finish(&f);
        else
                *ret = f;
        return rc;
}

bool modelfile_damaged(int code)
{
        return code == ERR_SYNTAX || code == ERR_INVALID || code == ERR_TOO_LARGE;
}

int modelfile_mark(
        const struct modelfile_home *home, const char *name, char ret[MARK_DIGITS + 1], struct err *e)
{
        struct safetensors *tensors = NULL;
        int fd, rc = open_head(home, name, &fd, &tensors, e);
        if (rc)
                return rc;
        rc = mark_model(tensors, fd, ret, e);
        safetensors_close(tensors);
        close(fd);
        return rc;
}
