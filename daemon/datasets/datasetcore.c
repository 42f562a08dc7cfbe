#include "daemon/datasets/datasetcore.h"

#include "base/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const char datasetcore_suffix[] = ".cnnd";

void datasetcore_place(
        const struct datasets *ds, const char *name, char folder[PATH_MAX], char file[NAME_MAX + 1])
{
        snprintf(folder, PATH_MAX, "%s/datasets", ds->state_dir);
        snprintf(file, NAME_MAX + 1, "%s%s", name, datasetcore_suffix);
}

int datasetcore_file(const char *path, const struct dataset *d, struct datasetrow_file *ret, struct err *e)
{
        struct datasetrow_file f = {0};
        struct stat st;
        int fd = -1, rc = d ? dataset_file(d, &fd, e) : 0;
        if (rc == 0 && (d ? fstat(fd, &st) : stat(path, &st)) != 0)
                rc = err_errno(e, errno, "its file");
        if (rc == 0 && d)
                rc = mark_dataset(d, fd, f.mark, e);
        if (rc)
                err_wrap(e, "%s", path);
        if (fd >= 0)
                close(fd);
        if (rc)
                return rc;
        f.bytes = st.st_size;
        f.inode = (int64_t)st.st_ino;
        f.mtime_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
        *ret = f;
        return 0;
}

struct entry *datasetcore_find(const struct datasets *ds, const char *name)
{
        for (struct entry *en = ds->list; en; en = en->next)
                if (strcmp(en->name, name) == 0)
                        return en;
        return NULL;
}

struct entry *datasetcore_add(struct datasets *ds, const char *name, struct err *e)
{
        struct entry **place = &ds->list;
        struct entry *en = calloc(1, sizeof *en);
        if (!en) {
                err_set(e, ERR_NO_MEMORY, "no memory for a data set");
                return NULL;
        }
        while (*place && strcmp((*place)->name, name) < 0)
                place = &(*place)->next;
        snprintf(en->name, sizeof en->name, "%s", name);
        en->home = ds;
        en->next = *place;
        *place = en;
        return en;
}

void datasetcore_drop(struct datasets *ds, struct entry *en)
{
        for (struct entry **place = &ds->list; *place; place = &(*place)->next)
                if (*place == en) {
                        *place = en->next;
                        break;
                }
        dataset_close(en->data);
        free(en);
}

void datasetcore_load(struct entry *en)
{
        char *path = datasets_path(en->home, en->name);
        en->error = (struct err){0};
        en->other = false;
        int rc = path ? dataset_look(path, &en->data, &en->error)
                      : err_set(&en->error, ERR_NO_MEMORY, "no memory for a data set");
        en->state = rc ? ENTRY_FAILED : ENTRY_READY;
        if (rc)
                log_line(LOG_WARN, "data set %s: %s", en->name, en->error.message);
        free(path);
}

/* It may be somebody else's, where a database was put back. */
static void know_again(struct entry *en, const char *path)
{
        struct datasetrow_file f;
        int rc = datasetcore_file(path, en->data, &f, &en->error);
        en->other = rc == 0 && en->mark[0] && strcmp(en->mark, f.mark) != 0;
        if (en->other)
                rc = err_set(&en->error, ERR_UNAVAILABLE,
                        "its file is another one than before; the next start of cnnd finds out whose");
        if (rc == 0)
                return;
        log_line(LOG_ERROR, "data set %s: %s", en->name, en->error.message);
        dataset_close(en->data);
        en->data = NULL;
        en->state = en->other ? ENTRY_FAILED : ENTRY_MISSING; /* the next look tries again */
}

void datasetcore_look(struct entry *en)
{
        char *path = en->state == ENTRY_MISSING ? datasets_path(en->home, en->name) : NULL;
        if (path && access(path, F_OK) == 0) {
                datasetcore_load(en);
                if (en->data)
                        know_again(en, path);
        }
        free(path);
}

bool datasetcore_known(const struct entry *en)
{
        const struct dataset_known *known = dataset_known_find(en->name);
        return known && en->data && idx_made(en->data, known->dir);
}
