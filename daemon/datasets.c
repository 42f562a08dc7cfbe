#include "daemon/datasets.h"

#include "base/json.h"
#include "base/log.h"
#include "daemon/datasetjson.h"
#include "daemon/datasetrow.h"
#include "daemon/swap.h"
#include "daemon/wire.h"
#include "train/request.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char suffix[] = ".cnnd";

enum entry_state { ENTRY_READY, ENTRY_IMPORTING, ENTRY_FAILED };

struct entry {
        struct datasets *home; /* borrowed */
        struct entry *next;    /* by name */
        char name[DATASET_NAME_MAX + 1];
        char user[IDENTITY_USER_MAX + 1]; /* its owner, "" for none */
        bool unsettled;                   /* no row tells whose it is */
        enum entry_state state;
        struct dataset *data; /* owned; of a ready one */
        struct err error;     /* of a failed one */
};

struct datasets {
        char *state_dir;       /* owned */
        struct children *kids; /* borrowed, as is the store */
        struct store *store;
        struct entry *list;
};

char *datasets_path(const struct datasets *ds, const char *name)
{
        char *path = NULL;
        return asprintf(&path, "%s/datasets/%s%s", ds->state_dir, name, suffix) < 0 ? NULL : path;
}

/* What swap.h wants to know. */
static void place_of(
        const struct datasets *ds, const char *name, char folder[PATH_MAX], char file[NAME_MAX + 1])
{
        snprintf(folder, PATH_MAX, "%s/datasets", ds->state_dir);
        snprintf(file, NAME_MAX + 1, "%s%s", name, suffix);
}

static struct entry *find(const struct datasets *ds, const char *name)
{
        for (struct entry *en = ds->list; en; en = en->next)
                if (strcmp(en->name, name) == 0)
                        return en;
        return NULL;
}

static struct entry *add(struct datasets *ds, const char *name, struct err *e)
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

static void entry_free(struct entry *en)
{
        dataset_close(en->data);
        free(en);
}

static void drop(struct datasets *ds, struct entry *en)
{
        for (struct entry **place = &ds->list; *place; place = &(*place)->next)
                if (*place == en) {
                        *place = en->next;
                        break;
                }
        entry_free(en);
}

/* Maps the entry's file; what is wrong with it stays in the entry. */
static void load(struct entry *en)
{
        char *path = datasets_path(en->home, en->name);
        int rc = path ? dataset_open(path, &en->data, &en->error)
                      : err_set(&en->error, ERR_NO_MEMORY, "no memory for a data set");
        en->state = rc ? ENTRY_FAILED : ENTRY_READY;
        if (rc)
                log_line(LOG_WARN, "data set %s: %s", en->name, en->error.message);
        free(path);
}

static int import_message(void *ctx, struct child *c, struct chan_message *m)
{
        struct entry *en = ctx;
        const cJSON *error = json_field(m->head, "error");
        (void)c;
        if (error)
                (void)wire_error_read(error, &en->error);
        return 0;
}

static void import_gone(void *ctx, struct child *c, int status, const char *why)
{
        struct entry *en = ctx;
        (void)c;
        if (status == 0) {
                load(en);
                if (en->state == ENTRY_READY)
                        log_line(LOG_INFO, "data set %s imported", en->name);
                return;
        }
        en->state = ENTRY_FAILED;
        if (!en->error.code)
                err_set(&en->error, ERR_INTERNAL, "the import was %s", why);
        log_line(LOG_ERROR, "import of data set %s: %s", en->name, en->error.message);
}

static int start_import(struct datasets *ds, struct entry *en, struct err *e)
{
        const char *const args[] = {"--role", "import", "--state", ds->state_dir, "--name", en->name, NULL};
        const struct child_hooks hooks = {.ctx = en, .message = import_message, .gone = import_gone};
        struct child *c;
        en->error = (struct err){0};
        int rc = child_start(ds->kids, args, &hooks, &c, e);
        if (rc == 0)
                en->state = ENTRY_IMPORTING;
        return rc;
}

static int read_folder(struct datasets *ds, struct err *e)
{
        char path[PATH_MAX], name[DATASET_NAME_MAX + 1];
        const struct dirent *file;
        int rc = 0;
        snprintf(path, sizeof path, "%s/datasets", ds->state_dir);
        rc = swap_tidy(path, e);
        DIR *dir = rc ? NULL : opendir(path);
        if (!dir)
                return rc ? rc : err_errno(e, errno, "%s", path);
        while (rc == 0 && (file = readdir(dir)) != NULL) {
                size_t n = strlen(file->d_name), tail = sizeof suffix - 1;
                if (n <= tail || n - tail > DATASET_NAME_MAX || strcmp(file->d_name + n - tail, suffix) != 0)
                        continue;
                snprintf(name, sizeof name, "%.*s", (int)(n - tail), file->d_name);
                if (!request_name_ok(name))
                        continue;
                struct entry *en = add(ds, name, e);
                if (en)
                        load(en);
                else
                        rc = ERR_NO_MEMORY;
        }
        closedir(dir);
        return rc;
}

/* Whether the file is what import_known makes, and not one of that name. */
static bool imported_known(const struct entry *en)
{
        const struct dataset_known *known = dataset_known_find(en->name);
        return known && en->data && idx_made(en->data, known->dir);
}

struct misfit {
        struct datasets *ds;
        char name[DATASET_NAME_MAX + 1];
};

/* Stops at a row that tells of no file that is there, or of another's bytes. */
static int take_owner(void *ctx, const char *name, const char *user, int64_t bytes)
{
        struct misfit *m = ctx;
        struct entry *en = find(m->ds, name);
        snprintf(m->name, sizeof m->name, "%s", name);
        if (!en)
                return 1;
        snprintf(en->user, sizeof en->user, "%s", user);
        en->unsettled = false;
        return en->data && (int64_t)en->data->map_len != bytes;
}

/* Gives the data sets that are there their owners. A change that was cut short leaves a row that would count
   in its user's quota for good: without a file where a deletion or a first import did not end, with the bytes
   of the file before where one was to be replaced. */
static int settle_owners(struct datasets *ds, struct err *e)
{
        struct misfit m = {.ds = ds};
        int rc;
        for (struct entry *en = ds->list; en; en = en->next)
                en->unsettled = !imported_known(en);
        while ((rc = datasetrow_each(ds->store, take_owner, &m, e)) > 0) {
                const struct entry *en = find(ds, m.name);
                log_line(LOG_WARN, "data set %s: its row is %s", m.name,
                        en ? "of another file; set right" : "without a file; dropped");
                rc = en ? datasetrow_set(ds->store, m.name, en->user, (int64_t)en->data->map_len, e)
                        : datasetrow_drop(ds->store, m.name, e);
                if (rc)
                        break;
        }
        for (const struct entry *en = ds->list; en && rc == 0; en = en->next)
                if (en->unsettled)
                        log_line(LOG_WARN,
                                "data set %s: no row tells whose it is, so only operators may read it, until "
                                "`cnnd dataset give %s USER` or `cnnd dataset share %s`",
                                en->name, en->name, en->name);
        return rc;
}

static bool installed(const struct dataset_known *known)
{
        return access(known->dir, R_OK | X_OK) == 0;
}

static int import_known(struct datasets *ds, struct err *e)
{
        int rc = 0;
        for (int i = 0; rc == 0 && i < dataset_known_count; i++) {
                const struct dataset_known *known = &dataset_known[i];
                struct entry *en = find(ds, known->name);
                if ((en && en->state == ENTRY_READY) || !installed(known))
                        continue;
                if (!en)
                        en = add(ds, known->name, e);
                rc = en ? start_import(ds, en, e) : ERR_NO_MEMORY;
        }
        return rc;
}

int datasets_create(const char *state_dir, struct children *kids, struct store *store, struct datasets **ret,
        struct err *e)
{
        struct datasets *ds = calloc(1, sizeof *ds);
        int rc = 0;
        if (ds)
                ds->state_dir = strdup(state_dir);
        if (!ds || !ds->state_dir)
                rc = err_set(e, ERR_NO_MEMORY, "no memory for data sets");
        if (rc == 0) {
                ds->kids = kids;
                ds->store = store;
                rc = read_folder(ds, e);
        }
        if (rc == 0)
                rc = settle_owners(ds, e);
        if (rc == 0)
                rc = import_known(ds, e);
        if (rc) {
                datasets_destroy(ds);
                return rc;
        }
        *ret = ds;
        return 0;
}

void datasets_destroy(struct datasets *ds)
{
        if (!ds)
                return;
        while (ds->list) {
                struct entry *en = ds->list;
                ds->list = en->next;
                entry_free(en);
        }
        free(ds->state_dir);
        free(ds);
}

bool datasets_importing(const struct datasets *ds)
{
        for (const struct entry *en = ds->list; en; en = en->next)
                if (en->state == ENTRY_IMPORTING)
                        return true;
        return false;
}

static cJSON *entry_json(const struct entry *en)
{
        static const char *const states[] = {"ready", "importing", "failed"};
        cJSON *o = cJSON_CreateObject();
        if (!o)
                return NULL;
        cJSON_AddStringToObject(o, "name", en->name);
        json_add(o, "user", en->user[0] || en->unsettled ? cJSON_CreateString(en->user) : cJSON_CreateNull());
        cJSON_AddStringToObject(o, "state", states[en->state]);
        if (en->data)
                datasetjson_add(o, en->data);
        if (en->state == ENTRY_FAILED)
                cJSON_AddStringToObject(o, "error", en->error.message);
        else
                cJSON_AddNullToObject(o, "error");
        return o;
}

static bool readable(struct entry *en, const struct identity *who)
{
        struct err e;
        if (en->unsettled && datasetrow_find(en->home->store, en->name, en->user, &e) > 0)
                en->unsettled = false;
        return (!en->user[0] && !en->unsettled) || identity_owns(who, en->user);
}

int datasets_list(struct datasets *ds, const struct identity *who, cJSON **ret, struct err *e)
{
        cJSON *list = cJSON_CreateArray();
        if (!list)
                return err_set(e, ERR_NO_MEMORY, "no memory for the list");
        for (struct entry *en = ds->list; en; en = en->next)
                if (readable(en, who))
                        json_push(list, entry_json(en));
        *ret = list;
        return 0;
}

static int need(const struct datasets *ds, const char *name, struct entry **ret, struct err *e)
{
        *ret = find(ds, name);
        if (!*ret)
                return err_set(e, ERR_NOT_FOUND, "there is no data set '%s'", name);
        return 0;
}

int datasets_see(struct datasets *ds, const struct identity *who, const char *name, struct err *e)
{
        struct entry *en;
        int rc = need(ds, name, &en, e);
        if (rc == 0 && !readable(en, who))
                rc = err_set(e, ERR_NOT_FOUND, "there is no data set '%s'", name);
        return rc;
}

/* Within the caller's transaction or alone. */
static int set_owner(struct entry *en, const char *user, int64_t bytes, struct err *e)
{
        int rc = datasetrow_set(en->home->store, en->name, user, bytes, e);
        if (rc == 0)
                snprintf(en->user, sizeof en->user, "%s", user);
        en->unsettled = en->unsettled && rc != 0;
        return rc;
}

int datasets_get(struct datasets *ds, const char *name, cJSON **ret, struct err *e)
{
        struct entry *en;
        int rc = need(ds, name, &en, e);
        if (rc)
                return rc;
        *ret = entry_json(en);
        return *ret ? 0 : err_set(e, ERR_NO_MEMORY, "no memory for a data set");
}

int datasets_find(struct datasets *ds, const char *name, const struct dataset **ret, struct err *e)
{
        struct entry *en;
        int rc = need(ds, name, &en, e);
        if (rc)
                return rc;
        if (en->state == ENTRY_IMPORTING)
                return err_set(e, ERR_UNAVAILABLE,
                        "the data set '%s' is being imported; try again in a few seconds", name);
        if (en->state == ENTRY_FAILED) {
                *e = en->error;
                return err_wrap(e, "the data set '%s' cannot be used", name);
        }
        *ret = en->data;
        return 0;
}

int datasets_delete(struct datasets *ds, const struct identity *who, const char *name, struct err *e)
{
        struct entry *en;
        int rc = need(ds, name, &en, e);
        if (rc)
                return rc;
        if (en->state == ENTRY_IMPORTING)
                return err_set(e, ERR_STATE, "the data set '%s' is being imported", name);
        if (!en->user[0] && !who->operator)
                return err_set(
                        e, ERR_DENIED, "the data set '%s' is everybody's: an operator may remove it", name);
        char folder[PATH_MAX], file[NAME_MAX + 1];
        place_of(ds, name, folder, file);
        rc = swap_away(folder, file, e);
        if (rc)
                return rc;
        rc = datasetrow_drop(ds->store, name, e);
        swap_end(folder, file, rc == 0);
        if (rc)
                return rc;
        drop(ds, en);
        return 0;
}

/* Everybody's jobs may name it. */
static bool came_with_machine(const struct entry *en, const char *name)
{
        const struct dataset_known *known = dataset_known_find(name);
        return known && ((en && !en->user[0] && !en->unsettled) || installed(known));
}

int datasets_may_replace(struct datasets *ds, const struct identity *who, const char *name, struct err *e)
{
        const struct entry *en = find(ds, name);
        if (came_with_machine(en, name))
                return err_set(e, ERR_EXISTS,
                        "'%s' is the name of a data set that comes with the machine: choose another", name);
        if (!en || who->operator|| identity_owns(who, en->user))
                return 0;
        return err_set(e, ERR_EXISTS, "the name '%s' is taken by another user's data set", name);
}

/* A new one's row comes first: a file without one would be the operators'. Another's follows its file, and
   where it cannot, the old file comes back. */
static int place(struct datasets *ds, struct entry *en, const char *path, const struct identity *who,
        int64_t bytes, bool created, struct err *e)
{
        char folder[PATH_MAX], file[NAME_MAX + 1], owner[IDENTITY_USER_MAX + 1];
        place_of(ds, en->name, folder, file);
        snprintf(owner, sizeof owner, "%s", created || en->unsettled ? who->user : en->user);
        int rc = created && owner[0] ? set_owner(en, owner, bytes, e) : 0;
        if (rc == 0)
                rc = swap_begin(folder, file, path, e);
        if (rc)
                return rc;
        if (!created && owner[0])
                rc = set_owner(en, owner, bytes, e);
        swap_end(folder, file, rc == 0);
        return rc;
}

int datasets_adopt(struct datasets *ds, const char *name, const char *path, const struct identity *who,
        int64_t bytes, bool *ret_created, struct err *e)
{
        struct dataset *data = NULL;
        struct entry *en = find(ds, name);
        struct err why;
        bool created = !en;
        if (en && en->state == ENTRY_IMPORTING)
                return err_set(e, ERR_STATE, "the data set '%s' is being imported", name);
        int rc = dataset_open(path, &data, &why);
        if (rc)
                return err_set(e, rc == ERR_NO_MEMORY ? rc : ERR_INTERNAL,
                        "the import made a damaged file: %s", why.message);
        rc = en || (en = add(ds, name, e)) ? 0 : ERR_NO_MEMORY;
        if (rc == 0)
                rc = place(ds, en, path, who, bytes, created, e);
        if (rc) {
                dataset_close(data);
                if (created && en) {
                        (void)datasetrow_drop(ds->store, name, &why);
                        drop(ds, en);
                }
                return rc;
        }
        dataset_close(en->data);
        en->data = data;
        en->state = ENTRY_READY;
        en->error = (struct err){0};
        *ret_created = created;
        return 0;
}

int datasets_settle(
        const char *state_dir, struct store *store, const char *name, const char *user, struct err *e)
{
        char path[PATH_MAX], owner[IDENTITY_USER_MAX + 1];
        struct stat st;
        snprintf(path, sizeof path, "%s/datasets/%s%s", state_dir, name, suffix);
        if (!request_name_ok(name) || stat(path, &st) != 0)
                return err_set(e, ERR_NOT_FOUND, "there is no data set '%s'", name);
        int rc = datasetrow_find(store, name, owner, e);
        if (rc > 0)
                return err_set(e, ERR_EXISTS, "the data set '%s' is %s's already", name,
                        owner[0] ? owner : "everybody");
        return rc ? rc : datasetrow_set(store, name, user, st.st_size, e);
}

int datasets_import(const char *state_dir, const char *name, struct err *e)
{
        char path[PATH_MAX];
        snprintf(path, sizeof path, "%s/datasets/%s%s", state_dir, name, suffix);
        const struct dataset_known *known = dataset_known_find(name);
        return known ? idx_import(known->dir, name, known->classes, known->num_classes, path, e)
                     : err_set(e, ERR_NOT_FOUND, "no data set '%s' is known", name);
}
