#include "daemon/datasets/datasets.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "daemon/datasets/datasetcore.h"
#include "daemon/datasets/datasetrow.h"
#include "daemon/datasets/datasetstart.h"
#include "daemon/store/swap.h"
#include "daemon/common/wire.h"
#include "train/request.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* Between looks for room, and from a failure to the next import that is asked for. */
enum { PAUSE_MS = 30000, ASK_MS = 5000 };

char *datasets_path(const struct datasets *ds, const char *name)
{
        char *path = NULL;
        return asprintf(&path, "%s/datasets/%s%s", ds->state_dir, name, datasetcore_suffix) < 0 ? NULL : path;
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

/* Bytes that the file system of data sets can still take. */
static uint64_t room(const struct datasets *ds)
{
        char path[PATH_MAX];
        struct statvfs st;
        snprintf(path, sizeof path, "%s/datasets", ds->state_dir);
        return statvfs(path, &st) == 0 ? (uint64_t)st.f_bavail * st.f_frsize : 0;
}

static void import_gone(void *ctx, struct child *c, int status, const char *why)
{
        struct entry *en = ctx;
        (void)c;
        if (status == 0) {
                datasetcore_load(en);
                en->unsettled = en->unsettled && !datasetcore_known(en);
                if (en->state == ENTRY_READY)
                        log_line(LOG_INFO, "data set %s imported", en->name);
                return;
        }
        en->state = ENTRY_FAILED;
        en->failed_ms = clock_now_ms();
        en->look_ms = en->failed_ms + en->home->pause_ms;
        en->room = room(en->home);
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
        en->failed_ms = 0;
        int rc = child_start(ds->kids, args, &hooks, &c, e);
        if (rc == 0)
                en->state = ENTRY_IMPORTING;
        return rc;
}

static bool installed(const struct dataset_known *known)
{
        return access(known->dir, R_OK | X_OK) == 0;
}

/* Whether it can be made anew: it is nobody's own, and there is none, or one that was read and is damaged. A
   file that cannot be read now may be whole. */
static bool may_import(const struct entry *en)
{
        if (!en)
                return true;
        const int code = en->state == ENTRY_FAILED && en->unsettled ? en->error.code : 0;
        return code == ERR_SYNTAX || code == ERR_INVALID || code == ERR_STATE;
}

static int import_known(struct datasets *ds, struct err *e)
{
        int rc = 0;
        for (int i = 0; rc == 0 && i < dataset_known_count; i++) {
                const struct dataset_known *known = &dataset_known[i];
                struct entry *en = datasetcore_find(ds, known->name);
                if (!may_import(en) || !installed(known))
                        continue;
                if (!en)
                        en = datasetcore_add(ds, known->name, e);
                rc = en ? start_import(ds, en, e) : ERR_NO_MEMORY;
        }
        return rc;
}

int datasets_create(const char *state_dir, struct children *kids, struct store *store, struct datasets **ret,
        struct err *e)
{
        const char *pause_ms = getenv("CNND_TEST_ROOM_MS");
        struct datasets *ds = calloc(1, sizeof *ds);
        int rc = 0;
        if (ds)
                ds->state_dir = strdup(state_dir);
        if (!ds || !ds->state_dir)
                rc = err_set(e, ERR_NO_MEMORY, "no memory for data sets");
        if (rc == 0) {
                ds->kids = kids;
                ds->store = store;
                ds->pause_ms = pause_ms ? strtoll(pause_ms, NULL, 10) : PAUSE_MS;
                rc = datasetstart_read(ds, e);
        }
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
        while (ds->list)
                datasetcore_drop(ds, ds->list);
        free(ds->state_dir);
        free(ds);
}

bool datasets_importing(const struct datasets *ds)
{
        for (const struct entry *en = ds->list; en; en = en->next)
                if (en->state == ENTRY_IMPORTING && !en->again)
                        return true;
        return false;
}

static void import_again(struct entry *en)
{
        const struct err before = en->error;
        struct err e;
        en->again = true;
        if (start_import(en->home, en, &e) == 0) {
                log_line(LOG_INFO, "data set %s: the import is tried again", en->name);
                return;
        }
        en->error = before;
        en->failed_ms = clock_now_ms();
        en->look_ms = en->failed_ms + en->home->pause_ms;
}

static bool wants_room(const struct entry *en)
{
        return en->state == ENTRY_FAILED && en->failed_ms && en->error.code == ERR_DISK;
}

void datasets_tick(struct datasets *ds, int64_t now_ms)
{
        for (struct entry *en = ds->list; en; en = en->next) {
                if (!wants_room(en) || now_ms < en->look_ms)
                        continue;
                en->look_ms = now_ms + ds->pause_ms;
                if (room(ds) > en->room)
                        import_again(en);
        }
}

int datasets_timeout_ms(const struct datasets *ds, int64_t now_ms)
{
        int64_t due = INT_MAX;
        for (const struct entry *en = ds->list; en; en = en->next)
                if (wants_room(en) && en->look_ms - now_ms < due)
                        due = en->look_ms > now_ms ? en->look_ms - now_ms : 0;
        return due == INT_MAX ? -1 : (int)due;
}

void datasets_ask(struct datasets *ds, const char *name)
{
        struct entry *en = datasetcore_find(ds, name);
        if (en && en->state == ENTRY_FAILED && en->failed_ms && clock_now_ms() - en->failed_ms >= ASK_MS)
                import_again(en);
}

static void add_counts(cJSON *counts, const char *key, const struct dataset *d, enum dataset_split s)
{
        cJSON *list = cJSON_AddArrayToObject(counts, key);
        for (int i = 0; list && i < d->num_classes; i++)
                json_push(list, cJSON_CreateNumber((double)d->split[s].class_counts[i]));
}

/* "shape" to "import" of the object that datasets_list shows. What memory lacks for is left out. */
static void add_content(cJSON *o, const struct dataset *d)
{
        const int shape[] = {d->c, d->h, d->w};
        json_add(o, "shape", cJSON_CreateIntArray(shape, 3));
        cJSON_AddStringToObject(o, "type", d->type == DATASET_U8 ? "u8" : "f32");
        cJSON_AddNumberToObject(o, "num_classes", d->num_classes);
        json_add(o, "classes", cJSON_CreateStringArray((const char *const *)d->classes, d->num_classes));
        cJSON_AddNumberToObject(o, "train", d->split[DATASET_TRAIN].count);
        cJSON_AddNumberToObject(o, "val", d->split[DATASET_VAL].count);
        cJSON *counts = cJSON_AddObjectToObject(o, "class_counts");
        add_counts(counts, "train", d, DATASET_TRAIN);
        add_counts(counts, "val", d, DATASET_VAL);
        cJSON_AddNumberToObject(o, "bytes", (double)d->file_len);
        cJSON_AddStringToObject(o, "source", d->source);
        json_add(o, "import", recipe_json(&d->recipe));
}

static cJSON *entry_json(const struct entry *en)
{
        static const char *const states[] = {"ready", "importing", "failed", "missing"};
        cJSON *o = cJSON_CreateObject();
        cJSON_AddStringToObject(o, "name", en->name);
        json_add(o, "user", en->user[0] || en->unsettled ? cJSON_CreateString(en->user) : cJSON_CreateNull());
        cJSON_AddStringToObject(o, "state", states[en->state]);
        if (en->data)
                add_content(o, en->data);
        if (en->error.code)
                cJSON_AddStringToObject(o, "error", en->error.message);
        else
                cJSON_AddNullToObject(o, "error");
        return o;
}

/* `cnnd dataset give` or `share` may have come by. */
static void look_for_owner(struct entry *en)
{
        struct err e;
        if (en->unsettled && datasetrow_find(en->home->store, en->name, en->user, &e) > 0)
                en->unsettled = false;
}

static bool readable(struct entry *en, const struct identity *who)
{
        look_for_owner(en);
        return (!en->user[0] && !en->unsettled) || identity_owns(who, en->user);
}

/* About what its object takes as text. */
static size_t text_bytes(const struct entry *en)
{
        size_t bytes = 0;
        for (int k = 0; en->data && k < en->data->num_classes; k++)
                bytes += strlen(en->data->classes[k]) + 16;
        return bytes;
}

cJSON *datasets_list(struct datasets *ds, const struct identity *who, struct listing *l)
{
        cJSON *list = cJSON_CreateArray();
        for (struct entry *en = ds->list; en; en = en->next) {
                if (strcmp(en->name, l->after) <= 0 || !readable(en, who))
                        continue;
                datasetcore_look(en);
                if (!listing_takes(l, en->name, text_bytes(en)))
                        break;
                json_push(list, entry_json(en));
        }
        return list;
}

void datasets_names(
        struct datasets *ds, const struct identity *who, void (*each)(void *ctx, const char *name), void *ctx)
{
        for (struct entry *en = ds->list; en; en = en->next)
                if (readable(en, who))
                        each(ctx, en->name);
}

static int need(const struct datasets *ds, const char *name, struct entry **ret, struct err *e)
{
        *ret = datasetcore_find(ds, name);
        if (!*ret)
                return err_set(e, ERR_NOT_FOUND, "there is no data set '%s'", name);
        datasetcore_look(*ret);
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
static int set_owner(struct entry *en, const char *user, const struct dataset *data, struct err *e)
{
        struct datasetrow_file f;
        char *path = datasets_path(en->home, en->name);
        int rc = path ? datasetcore_file(path, data, &f, e)
                      : err_set(e, ERR_NO_MEMORY, "no memory for a path");
        free(path);
        if (rc == 0)
                rc = datasetrow_set(en->home->store, en->name, user, &f, e);
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
        if (en->error.code == ERR_IO ||
                en->error.code == ERR_SYNTAX) /* no fault of who asks; the log has more */
                return err_set(e, ERR_UNAVAILABLE, "the data set '%s' cannot be read", name);
        if (en->error.code) {
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
        if (en->other && !who->operator) {
                *e = en->error;
                return e->code;
        }
        char folder[PATH_MAX], file[NAME_MAX + 1];
        datasetcore_place(ds, name, folder, file);
        rc = swap_away(folder, file, e);
        if (rc)
                return rc;
        rc = datasetrow_drop(ds->store, name, e);
        swap_end(folder, file, rc == 0);
        if (rc)
                return rc;
        datasetcore_drop(ds, en);
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
        struct entry *en = datasetcore_find(ds, name);
        if (en)
                look_for_owner(en);
        if (came_with_machine(en, name))
                return err_set(e, ERR_EXISTS,
                        "'%s' is the name of a data set that comes with the machine: choose another", name);
        if (en && en->other && !who->operator) {
                *e = en->error;
                return e->code;
        }
        if (!en || who->operator|| identity_owns(who, en->user))
                return 0;
        return err_set(e, ERR_EXISTS, "the name '%s' is taken by another user's data set", name);
}

/* The row follows its file, and where it cannot, what was there before is there again. */
static int place(struct datasets *ds, struct entry *en, const char *path, const struct identity *who,
        const struct dataset *data, bool created, struct err *e)
{
        char folder[PATH_MAX], file[NAME_MAX + 1], owner[IDENTITY_USER_MAX + 1];
        datasetcore_place(ds, en->name, folder, file);
        snprintf(owner, sizeof owner, "%s", created || en->unsettled ? who->user : en->user);
        int rc = swap_begin(folder, file, path, e);
        if (rc)
                return rc;
        rc = set_owner(en, owner, data, e);
        swap_end(folder, file, rc == 0);
        return rc;
}

int datasets_adopt(struct datasets *ds, const char *name, const char *path, const struct identity *who,
        bool *ret_created, struct err *e)
{
        struct dataset *data = NULL;
        struct entry *en = datasetcore_find(ds, name);
        struct err why;
        bool created = !en;
        if (en && en->state == ENTRY_IMPORTING)
                return err_set(e, ERR_STATE, "the data set '%s' is being imported", name);
        int rc = dataset_look(path, &data, &why);
        if (rc)
                return err_set(e, rc == ERR_NO_MEMORY ? rc : ERR_INTERNAL,
                        "the import made a damaged file: %s", why.message);
        char *final = datasets_path(ds, name);
        rc = final ? dataset_move(data, final, e) : err_set(e, ERR_NO_MEMORY, "no memory for a path");
        free(final);
        if (rc) {
                dataset_close(data);
                return rc;
        }
        rc = en || (en = datasetcore_add(ds, name, e)) ? 0 : ERR_NO_MEMORY;
        if (rc == 0)
                rc = place(ds, en, path, who, data, created, e);
        if (rc) {
                dataset_close(data);
                if (created && en)
                        datasetcore_drop(ds, en);
                return rc;
        }
        dataset_close(en->data);
        en->data = data;
        en->state = ENTRY_READY;
        en->error = (struct err){0};
        en->other = false;
        *ret_created = created;
        return 0;
}

int datasets_settle(
        const char *state_dir, struct store *store, const char *name, const char *user, struct err *e)
{
        char path[PATH_MAX], owner[IDENTITY_USER_MAX + 1];
        struct dataset *data = NULL;
        struct datasetrow_file f;
        struct err damaged;
        snprintf(path, sizeof path, "%s/datasets/%s%s", state_dir, name, datasetcore_suffix);
        if (!request_name_ok(name) || access(path, F_OK) != 0)
                return err_set(e, ERR_NOT_FOUND, "there is no data set '%s'", name);
        int rc = datasetrow_find(store, name, owner, e);
        if (rc > 0)
                return err_set(e, ERR_EXISTS, "the data set '%s' is %s's already", name,
                        owner[0] ? owner : "everybody");
        if (rc)
                return rc;
        if (dataset_look(path, &data, &damaged))
                data = NULL;
        rc = datasetcore_file(path, data, &f, e);
        dataset_close(data);
        return rc ? rc : datasetrow_set(store, name, user, &f, e);
}

int datasets_import(const char *state_dir, const char *name, struct err *e)
{
        char path[PATH_MAX];
        snprintf(path, sizeof path, "%s/datasets/%s%s", state_dir, name, datasetcore_suffix);
        const struct dataset_known *known = dataset_known_find(name);
        return known ? idx_import(known->dir, name, known->classes, known->num_classes, path, e)
                     : err_set(e, ERR_NOT_FOUND, "no data set '%s' is known", name);
}
