#include "daemon/modelfile.h"

#include "base/json.h"
#include "daemon/swap.h"
#include "model/safetensors.h"
#include "train/request.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char suffix[] = ".safetensors";
/* An empty file of this name stands beside NAME.safetensors while nobody has been told of it. */
static const char mark_prefix[] = ".unsettled-";

int modelfile_open(struct modelfile_home *home, const char *state_dir, struct err *e)
{
        *home = (struct modelfile_home){.dir_fd = -1};
        if (asprintf(&home->dir, "%s/models", state_dir) < 0) {
                home->dir = NULL;
                return err_set(e, ERR_NO_MEMORY, "no memory for a path");
        }
        home->dir_fd = open(home->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return home->dir_fd < 0 ? err_errno(e, errno, "%s", home->dir) : swap_tidy(home->dir, e);
}

void modelfile_close(struct modelfile_home *home)
{
        if (home->dir_fd >= 0)
                close(home->dir_fd);
        free(home->dir);
        *home = (struct modelfile_home){.dir_fd = -1};
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

bool modelfile_exists(const struct modelfile_home *home, const char *name)
{
        char file[NAME_MAX + 1];
        file_name(file, name);
        return faccessat(home->dir_fd, file, R_OK, 0) == 0;
}

static void mark_name(char out[NAME_MAX + 1], const char *name)
{
        snprintf(out, NAME_MAX + 1, "%s%s", mark_prefix, name);
}

/* Made durable by the sync of the folder that makes the file so. */
static int mark(const struct modelfile_home *home, const char *name, struct err *e)
{
        char file[NAME_MAX + 1];
        mark_name(file, name);
        int fd = openat(home->dir_fd, file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        if (fd < 0)
                return err_errno(e, errno, "%s/%s", home->dir, file);
        close(fd);
        return 0;
}

static void unmark(const struct modelfile_home *home, const char *name)
{
        char file[NAME_MAX + 1];
        mark_name(file, name);
        unlinkat(home->dir_fd, file, 0);
}

int modelfile_place(const struct modelfile_home *home, const char *name, const char *file, struct err *e)
{
        char final[NAME_MAX + 1];
        file_name(final, name);
        int rc = mark(home, name, e);
        if (rc)
                return rc;
        rc = swap_begin(home->dir, final, file, e);
        if (rc)
                unmark(home, name);
        return rc;
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
        unmark(home, name);
}

static int64_t mtime_ns(const struct stat *st)
{
        return (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
}

static bool marked(const struct modelfile_home *home, const char *name)
{
        char file[NAME_MAX + 1];
        mark_name(file, name);
        return faccessat(home->dir_fd, file, F_OK, 0) == 0;
}

int modelfile_each(const struct modelfile_home *home,
        int (*each)(void *ctx, const char *name, const struct modelfile_stat *file, struct err *e), void *ctx,
        struct err *e)
{
        const struct dirent *file;
        int rc = 0;
        DIR *dir = opendir(home->dir);
        if (!dir)
                return err_errno(e, errno, "%s", home->dir);
        while (rc == 0 && (file = readdir(dir)) != NULL) {
                char name[REQUEST_NAME_MAX + 1];
                struct stat st;
                size_t n = strlen(file->d_name), tail = sizeof suffix - 1;
                if (n <= tail || n - tail > REQUEST_NAME_MAX || strcmp(file->d_name + n - tail, suffix) != 0)
                        continue;
                snprintf(name, sizeof name, "%.*s", (int)(n - tail), file->d_name);
                if (!request_name_ok(name) || fstatat(home->dir_fd, file->d_name, &st, 0) != 0)
                        continue;
                const struct modelfile_stat about = {.bytes = st.st_size,
                        .inode = (int64_t)st.st_ino,
                        .mtime_ns = mtime_ns(&st),
                        .unsettled = marked(home, name)};
                rc = each(ctx, name, &about, e);
        }
        closedir(dir);
        return rc;
}

int modelfile_discard(const struct modelfile_home *home, const char *name, struct err *e)
{
        char file[NAME_MAX + 1];
        file_name(file, name);
        if (unlinkat(home->dir_fd, file, 0) != 0 && errno != ENOENT)
                return err_errno(e, errno, "%s/%s", home->dir, file);
        return 0;
}

int modelfile_settle_all(const struct modelfile_home *home, struct err *e)
{
        const struct dirent *file;
        DIR *dir = opendir(home->dir);
        if (!dir)
                return err_errno(e, errno, "%s", home->dir);
        while ((file = readdir(dir)) != NULL)
                if (strncmp(file->d_name, mark_prefix, sizeof mark_prefix - 1) == 0)
                        unlinkat(home->dir_fd, file->d_name, 0);
        closedir(dir);
        return 0;
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
        *ret = tree ? json_text(tree) : NULL;
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
                rc = err_set(e, ERR_INVALID, "the file's \"classes\" are no list");
        return rc ? rc : read_input(st, f->input, e);
}

void modelfile_finish(struct modelfile *f)
{
        free(f->architecture);
        free(f->classes);
        free(f->preprocessing);
        *f = (struct modelfile){0};
}

int modelfile_read(const struct modelfile_home *home, const char *name, struct modelfile *ret, struct err *e)
{
        struct modelfile f = {0};
        struct safetensors *tensors = NULL;
        struct stat st;
        char *path = modelfile_path(home, name);
        int rc = path ? 0 : err_set(e, ERR_NO_MEMORY, "no memory for a path");
        if (rc == 0 && stat(path, &st) != 0)
                rc = err_errno(e, errno, "%s", path);
        if (rc == 0)
                rc = safetensors_open(path, &tensors, e);
        if (rc == 0) {
                f = (struct modelfile){
                        .bytes = st.st_size, .inode = (int64_t)st.st_ino, .mtime_ns = mtime_ns(&st)};
                rc = read_all(tensors, &f, e);
        }
        safetensors_close(tensors);
        free(path);
        if (rc)
                modelfile_finish(&f);
        else
                *ret = f;
        return rc;
}
