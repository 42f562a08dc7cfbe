#include "daemon/datasets/datasetstart.h"

#include "base/log.h"
#include "daemon/datasets/datasetcore.h"
#include "daemon/datasets/datasetrow.h"
#include "daemon/store/swap.h"
#include "train/request.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int tidy(const struct datasets *ds, bool all, struct err *e)
{
        char path[PATH_MAX];
        snprintf(path, sizeof path, "%s/datasets", ds->state_dir);
        return swap_tidy(path, all, e);
}

static int read_folder(struct datasets *ds, struct err *e)
{
        char path[PATH_MAX], name[DATASET_NAME_MAX + 1];
        const struct dirent *file;
        snprintf(path, sizeof path, "%s/datasets", ds->state_dir);
        int rc = tidy(ds, false, e);
        DIR *dir = rc ? NULL : opendir(path);
        if (!dir)
                return rc || errno == ENOENT ? rc : err_errno(e, errno, "%s", path);
        while (rc == 0 && (errno = 0, file = readdir(dir)) != NULL) {
                size_t n = strlen(file->d_name), tail = strlen(datasetcore_suffix);
                if (n <= tail || n - tail > DATASET_NAME_MAX ||
                        strcmp(file->d_name + n - tail, datasetcore_suffix) != 0)
                        continue;
                snprintf(name, sizeof name, "%.*s", (int)(n - tail), file->d_name);
                if (!request_name_ok(name))
                        continue;
                struct entry *en = datasetcore_add(ds, name, e);
                if (en)
                        datasetcore_load(en);
                else
                        rc = ERR_NO_MEMORY;
        }
        if (rc == 0 && errno)
                rc = err_errno(e, errno, "%s", path);
        closedir(dir);
        return rc;
}

struct misfit {
        struct datasets *ds;
        char name[DATASET_NAME_MAX + 1];
};

/* Whether the file stands as its row has it. */
static bool as_left(const struct datasets *ds, const char *name, const struct datasetrow_file *f)
{
        struct stat st;
        char folder[PATH_MAX], file[NAME_MAX + 1], path[PATH_MAX + NAME_MAX + 1];
        datasetcore_place(ds, name, folder, file);
        snprintf(path, sizeof path, "%s/%s", folder, file);
        return f->mark[0] && stat(path, &st) == 0 && (int64_t)st.st_ino == f->inode &&
               (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec == f->mtime_ns;
}

/* Stops at a row that tells of no file that is there, or of another's bytes. */
static int take_owner(void *ctx, const char *name, const char *user, const struct datasetrow_file *f)
{
        struct misfit *m = ctx;
        struct entry *en = datasetcore_find(m->ds, name);
        snprintf(m->name, sizeof m->name, "%s", name);
        if (!en)
                return 1;
        snprintf(en->user, sizeof en->user, "%s", user);
        en->unsettled = false;
        en->moved = en->data && !as_left(m->ds, name, f);
        memcpy(en->mark, f->mark, sizeof en->mark);
        return en->data && (int64_t)en->data->file_len != f->bytes;
}

/* Of a row without a file. A deletion that was cut short is ended; all else stays, for the file may come back
   with the file system that it lies on. */
static int settle_missing(struct datasets *ds, const char *name, struct err *e)
{
        char folder[PATH_MAX], file[NAME_MAX + 1];
        datasetcore_place(ds, name, folder, file);
        if (swap_went(folder, file))
                return datasetrow_drop(ds->store, name, e);
        struct entry *en = datasetcore_add(ds, name, e);
        if (!en)
                return ERR_NO_MEMORY;
        en->state = ENTRY_MISSING;
        err_set(&en->error, ERR_UNAVAILABLE,
                "its file is not there; the file system that it lies on may not be mounted");
        return 0;
}

static void tell_missing(const struct datasets *ds)
{
        const struct entry *first = NULL;
        int count = 0;
        for (const struct entry *en = ds->list; en; en = en->next)
                if (en->state == ENTRY_MISSING) {
                        first = first ? first : en;
                        count++;
                }
        if (count)
                log_line(LOG_ERROR, "%s/datasets: data sets without their files, which are kept: %d; %s: %s",
                        ds->state_dir, count, first->name, first->error.message);
}

/* A first import that was cut short: nobody was told of it. */
static int drop_untold(struct datasets *ds, struct err *e)
{
        char folder[PATH_MAX], file[NAME_MAX + 1];
        for (struct entry *en = ds->list, *next; en; en = next) {
                next = en->next;
                datasetcore_place(ds, en->name, folder, file);
                if (!en->unsettled || !swap_came(folder, file))
                        continue;
                log_line(LOG_WARN, "data set %s: cnnd ended before it was stored; its file is removed",
                        en->name);
                char *path = datasets_path(ds, en->name);
                int rc = !path               ? err_set(e, ERR_NO_MEMORY, "no memory for a path")
                         : unlink(path) != 0 ? err_errno(e, errno, "%s", path)
                                             : 0;
                free(path);
                if (rc)
                        return rc;
                datasetcore_drop(ds, en);
        }
        return 0;
}

/* Of a row of another file. A replacement that was cut short is its owner's; else a database was put back
   that is older, and somebody else may have taken the name. */
static int settle_other(struct datasets *ds, struct entry *en, const struct datasetrow_file *f, struct err *e)
{
        char folder[PATH_MAX], file[NAME_MAX + 1];
        datasetcore_place(ds, en->name, folder, file);
        if (swap_came(folder, file)) {
                log_line(LOG_WARN, "data set %s: its row is of another file; set right", en->name);
                return datasetrow_set(ds->store, en->name, en->user, f, e);
        }
        en->user[0] = '\0';
        en->unsettled = true;
        return datasetrow_drop(ds->store, en->name, e);
}

/* Whose it is cannot be told while the disk fails; its row stays as it is. */
static void fail_unread(struct entry *en, const struct err *why)
{
        log_line(LOG_ERROR, "data set %s: %s", en->name, why->message);
        dataset_close(en->data);
        en->data = NULL;
        en->state = ENTRY_FAILED;
        en->error = *why;
}

/* Where the file is not as its row's was left: it may be a copy. `other`: it is not. */
static int settle_moved(struct datasets *ds, struct entry *en, bool other, struct err *e)
{
        struct datasetrow_file f;
        struct err why = {0};
        char *path = datasets_path(ds, en->name);
        int rc = path ? datasetcore_file(path, en->data, &f, &why)
                      : err_set(&why, ERR_NO_MEMORY, "no memory for a path");
        free(path);
        en->moved = false;
        if (rc == ERR_IO || rc == ERR_SYNTAX || rc == ERR_UNAVAILABLE) {
                fail_unread(en, &why);
                return 0;
        }
        if (rc) {
                *e = why;
                return rc;
        }
        if (other || (en->mark[0] && strcmp(en->mark, f.mark) != 0))
                return settle_other(ds, en, &f, e);
        return datasetrow_set(ds->store, en->name, en->user, &f, e);
}

/* Gives the data sets that are there their owners. */
static int settle_owners(struct datasets *ds, struct err *e)
{
        struct misfit m = {.ds = ds};
        int rc;
        for (struct entry *en = ds->list; en; en = en->next)
                en->unsettled = !datasetcore_known(en);
        while ((rc = datasetrow_each(ds->store, take_owner, &m, e)) > 0) {
                struct entry *en = datasetcore_find(ds, m.name);
                rc = en ? settle_moved(ds, en, true, e) : settle_missing(ds, m.name, e);
                if (rc)
                        break;
        }
        for (struct entry *en = ds->list; en && rc == 0; en = en->next)
                if (en->moved)
                        rc = settle_moved(ds, en, false, e);
        if (rc == 0)
                rc = drop_untold(ds, e);
        tell_missing(ds);
        for (const struct entry *en = ds->list; en && rc == 0; en = en->next)
                if (en->unsettled)
                        log_line(LOG_WARN,
                                "data set %s: no row tells whose it is, so only operators may read it, until "
                                "`cnnd dataset give %s USER` or `cnnd dataset share %s`",
                                en->name, en->name, en->name);
        return rc;
}

/* Of what could not be read a later start has to know what a killed front was doing with it. */
static void forget_changes(const struct datasets *ds)
{
        char folder[PATH_MAX], file[NAME_MAX + 1];
        for (const struct entry *en = ds->list; en; en = en->next) {
                datasetcore_place(ds, en->name, folder, file);
                if (en->data && swap_came(folder, file))
                        swap_end(folder, file, true);
        }
}

int datasetstart_read(struct datasets *ds, struct err *e)
{
        int rc = read_folder(ds, e);
        if (rc == 0)
                rc = settle_owners(ds, e);
        if (rc)
                return rc;
        forget_changes(ds);
        return tidy(ds, true, e);
}
