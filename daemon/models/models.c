#include "daemon/models/models.h"

#include "base/json.h"
#include "daemon/models/modelcore.h"
#include "daemon/models/modelrow.h"
#include "daemon/models/modelstart.h"
#include "train/preprocessing.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* An upload while the decoder checks it, and while it goes to another file system. */
struct put {
        struct models *models;
        struct put *next, **prev;
        struct identity who;
        char *name, *path; /* owned; the file too */
        models_done done;
        void *ctx;
};

int models_record(struct models *ms, const char *name, const char *user, int64_t job, const cJSON *metrics,
        struct err *e)
{
        struct modelfile f;
        int rc = modelfile_read(&ms->files, name, &f, e);
        if (rc)
                return rc;
        model_memory_clear(&ms->known);
        char *text = json_text(metrics);
        if (metrics && !text)
                rc = err_set(e, ERR_NO_MEMORY, "no memory for a model");
        else
                rc = modelrow_put(ms->store, name, user, job, text, &f, e);
        free(text);
        modelfile_finish(&f);
        return rc;
}

const char *models_dir(const struct models *ms)
{
        return ms->files.dir;
}

int models_place(struct models *ms, const char *name, const char *file, struct err *e)
{
        int rc = modelcore_other(ms, name, e);
        return rc ? rc : modelfile_place(&ms->files, name, file, e);
}

void models_placed(struct models *ms, const char *name, bool committed)
{
        modelfile_settle(&ms->files, name, committed);
}

int models_create(const char *state_dir, struct store *store, struct quota *quota, struct decode *decode,
        struct carries *carries, struct models **ret, struct err *e)
{
        struct models *ms = calloc(1, sizeof *ms);
        if (!ms)
                return err_set(e, ERR_NO_MEMORY, "no memory for models");
        ms->store = store;
        ms->quota = quota;
        ms->decode = decode;
        ms->carries = carries;
        int rc = modelfile_open(&ms->files, state_dir, e);
        if (rc == 0)
                rc = modelstart_read(ms, e);
        if (rc) {
                models_destroy(ms);
                return rc;
        }
        *ret = ms;
        return 0;
}

static void put_free(struct put *p)
{
        if (p->path)
                unlink(p->path);
        if (p->prev)
                *p->prev = p->next;
        if (p->next)
                p->next->prev = p->prev;
        free(p->name);
        free(p->path);
        free(p);
}

void models_destroy(struct models *ms)
{
        if (!ms)
                return;
        while (ms->puts)
                put_free(ms->puts);
        modelfile_close(&ms->files);
        model_memory_clear(&ms->known);
        free(ms->unseen);
        free(ms);
}

/* `error` is models_look's, NULL for none. */
static cJSON *model_json(sqlite3_stmt *st, bool raw, const struct err *error)
{
        cJSON *model = modelrow_json(st, raw);
        json_add(model, "error", error ? cJSON_CreateString(error->message) : cJSON_CreateNull());
        return model;
}

int models_get(struct models *ms, const char *name, cJSON **ret, struct err *e)
{
        sqlite3_stmt *st;
        struct err why;
        const bool lacks = models_look(ms, name, &why) != 0;
        int rc = modelrow_find(ms->store, name, &st, e);
        if (rc < 0)
                return rc;
        cJSON *model = model_json(st, false, lacks ? &why : NULL);
        rc = model ? 0 : err_set(e, ERR_NO_MEMORY, "no memory for a model");
        rc = store_done(ms->store, st, rc, e);
        if (rc)
                cJSON_Delete(model);
        else
                *ret = model;
        return rc;
}

int models_facts(struct models *ms, const char *name, const struct model_facts **ret, struct err *e)
{
        sqlite3_stmt *st;
        struct model_facts *f = NULL;
        if (ms->unsure)
                model_memory_clear(&ms->known);
        ms->unsure = store_writing(ms->store);
        *ret = model_memory_find(&ms->known, name);
        if (*ret && (*ret)->user[0])
                return 0;
        if (*ret) /* `cnnd model give` may have come by */
                model_memory_clear(&ms->known);
        int rc = modelrow_find(ms->store, name, &st, e);
        if (rc < 0)
                return rc;
        struct model_shape shape = {.c = sqlite3_column_int(st, MODELROW_INPUT),
                .h = sqlite3_column_int(st, MODELROW_INPUT + 1),
                .w = sqlite3_column_int(st, MODELROW_INPUT + 2),
                .generation = sqlite3_column_int64(st, MODELROW_GENERATION)};
        rc = preprocessing_recipe(store_text(st, MODELROW_PREPROCESSING), &shape.recipe, e);
        if (rc == 0)
                rc = model_facts_create(
                        name, store_text(st, MODELROW_USER), &shape, store_text(st, MODELROW_CLASSES), &f, e);
        rc = store_done(ms->store, st, rc, e);
        if (rc) {
                model_facts_destroy(f);
                return rc;
        }
        model_memory_keep(&ms->known, f);
        *ret = f;
        return 0;
}

int models_look(struct models *ms, const char *name, struct err *e)
{
        int rc = modelfile_look(&ms->files, name, e);
        return rc ? rc : modelcore_known(ms, name, e);
}

int models_known(struct models *ms, const char *name, struct err *e)
{
        return modelcore_known(ms, name, e);
}

int models_see(struct models *ms, const struct identity *who, const char *name, struct err *e)
{
        const struct model_facts *f;
        int rc = models_facts(ms, name, &f, e);
        if (rc)
                return rc;
        return identity_owns(who, f->user) ? 0 : err_set(e, ERR_NOT_FOUND, "there is no model '%s'", name);
}

/* ERR_NOT_FOUND without a row. */
static int need(struct models *ms, const char *name, struct err *e)
{
        const struct model_facts *f;
        return models_facts(ms, name, &f, e);
}

int models_exists(struct models *ms, const char *name, bool *ret, struct err *e)
{
        int rc = need(ms, name, e);
        if (rc && rc != ERR_NOT_FOUND)
                return rc;
        *ret = rc == 0;
        return 0;
}

/* `any`: whatever file stands there. */
static int may_take(struct models *ms, const struct identity *who, const char *name, bool any, struct err *e)
{
        bool there = false, taken = false;
        int rc = models_exists(ms, name, &there, e);
        if (rc == 0 && there)
                rc = models_see(ms, who, name, e);
        if (rc == 0 && there && !any)
                rc = modelcore_other(ms, name, e);
        if (rc && rc != ERR_NOT_FOUND)
                return rc;
        taken = rc == ERR_NOT_FOUND;
        for (const struct put *p = ms->puts; p && !taken; p = p->next)
                taken = strcmp(p->name, name) == 0 && !identity_owns(who, p->who.user);
        return taken ? err_set(e, ERR_EXISTS, "the name '%s' is taken by another user's model", name) : 0;
}

int models_may_save(struct models *ms, const struct identity *who, const char *name, struct err *e)
{
        return may_take(ms, who, name, false, e);
}

int models_list(struct models *ms, const struct identity *who, struct listing *l, cJSON **ret, struct err *e)
{
        sqlite3_stmt *st;
        int rc = modelrow_after(ms->store, who->operator? NULL : who->user, l->after, &st, e);
        if (rc)
                return rc;
        cJSON *list = cJSON_CreateArray();
        while ((rc = store_step(ms->store, st, e)) > 0) {
                struct err why;
                const char *name = store_text(st, MODELROW_NAME);
                if (!listing_takes(l, name, modelrow_bytes(st)))
                        break;
                const bool lacks = models_look(ms, name, &why) != 0;
                json_push(list, model_json(st, true, lacks ? &why : NULL));
        }
        rc = store_done(ms->store, st, rc < 0 ? rc : 0, e);
        if (rc)
                cJSON_Delete(list);
        else
                *ret = list;
        return rc;
}

int models_names(struct models *ms, const struct identity *who, struct listing *l,
        void (*each)(void *ctx, const char *name, const struct err *error), void *ctx, struct err *e)
{
        sqlite3_stmt *st;
        int rc = modelrow_after(ms->store, who->operator? NULL : who->user, l->after, &st, e);
        if (rc)
                return rc;
        while ((rc = store_step(ms->store, st, e)) > 0) {
                struct err why;
                const char *name = store_text(st, MODELROW_NAME);
                if (!listing_takes(l, name, modelrow_bytes(st)))
                        break;
                each(ctx, name, models_look(ms, name, &why) ? &why : NULL);
        }
        return store_done(ms->store, st, rc < 0 ? rc : 0, e);
}

char *models_path(const struct models *ms, const char *name)
{
        return modelfile_path(&ms->files, name);
}

int models_open(struct models *ms, const char *name, int *ret_fd, uint64_t *ret_size, struct err *e)
{
        struct stat st;
        int rc = need(ms, name, e);
        if (rc == 0)
                rc = models_look(ms, name, e);
        if (rc)
                return rc;
        char *path = models_path(ms, name);
        if (!path)
                return err_set(e, ERR_NO_MEMORY, "no memory for a path");
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || fstat(fd, &st) != 0)
                rc = err_errno(e, errno, "%s", path);
        free(path);
        if (rc) {
                if (fd >= 0)
                        close(fd);
                return rc;
        }
        *ret_fd = fd;
        *ret_size = (uint64_t)st.st_size;
        return 0;
}

int models_damaged(const char *name, const struct err *why, struct err *e)
{
        if (why->code == ERR_IO)
                return err_set(
                        e, ERR_UNAVAILABLE, "the file of model '%s' cannot be read: %s", name, why->message);
        if (!modelfile_damaged(why->code)) {
                *e = *why;
                return e->code;
        }
        return err_set(e, ERR_UNAVAILABLE, "the file of model '%s' is damaged: %s", name, why->message);
}

int models_head(struct models *ms, const char *name, struct safetensors **ret, struct err *e)
{
        uint64_t size;
        struct err why = {0};
        int fd, rc = models_open(ms, name, &fd, &size, e);
        if (rc)
                return rc;
        rc = safetensors_head(fd, ret, &why);
        close(fd);
        return rc ? models_damaged(name, &why, e) : 0;
}

int models_delete(struct models *ms, const char *name, struct err *e)
{
        int rc = need(ms, name, e);
        if (rc == 0)
                rc = modelcore_other(ms, name, e);
        /* The file first: a start finishes that. A file without its row would come back. */
        if (rc == 0)
                rc = modelfile_remove(&ms->files, name, e);
        if (rc)
                return rc;
        rc = modelcore_drop(ms, name, e);
        modelfile_settle(&ms->files, name, rc == 0);
        return rc;
}

static int put_store(struct put *p, cJSON **ret_model, bool *ret_created, struct err *e)
{
        struct models *ms = p->models;
        struct stat st;
        bool there = false;
        int rc = models_exists(ms, p->name, &there, e);
        *ret_created = !there;
        if (rc == 0 && stat(p->path, &st) != 0)
                rc = err_errno(e, errno, "%s", p->path);
        if (rc == 0 && !p->who.operator)
                rc = modelcore_other(ms, p->name, e);
        if (rc == 0)
                rc = quota_model(ms->quota, &p->who, p->name, st.st_size, e);
        if (rc == 0)
                rc = modelfile_place(&ms->files, p->name, p->path, e);
        if (rc)
                return rc;
        rc = store_begin(ms->store, e);
        if (rc == 0)
                rc = models_record(ms, p->name, p->who.user, 0, NULL, e);
        if (rc == 0)
                rc = store_commit(ms->store, e);
        if (rc)
                store_rollback(ms->store);
        modelfile_settle(&ms->files, p->name, rc == 0);
        return rc ? rc : models_get(ms, p->name, ret_model, e);
}

static void put_end(struct put *p, const struct err *error)
{
        struct err e;
        cJSON *model = NULL;
        bool created = false;
        if (!error && put_store(p, &model, &created, &e))
                error = &e;
        p->done(p->ctx, error ? NULL : model, created, error);
        cJSON_Delete(model);
        put_free(p);
}

static void put_carried(void *ctx, char *path, const struct err *failed)
{
        struct put *p = ctx;
        if (path) {
                unlink(p->path);
                free(p->path);
                p->path = path;
        }
        put_end(p, failed);
}

static void put_checked(void *ctx, struct chan_message *m, const struct err *error)
{
        struct put *p = ctx;
        struct models *ms = p->models;
        struct err e;
        int id;
        (void)m;
        if (error || !carry_needed(p->path, ms->files.dir))
                put_end(p, error);
        else if (carry_begin(ms->carries, p->path, ms->files.dir, p->name, put_carried, p, &id, &e))
                put_end(p, &e);
}

static void put_link(struct put *p)
{
        p->next = p->models->puts;
        p->prev = &p->models->puts;
        if (p->next)
                p->next->prev = &p->next;
        p->models->puts = p;
}

int models_put(struct models *ms, const char *name, const struct identity *who, const char *path,
        const cJSON *overrides, models_done done, void *ctx, struct err *e)
{
        if (!request_name_ok(name)) {
                unlink(path);
                return err_at(e, ERR_INVALID, "/name",
                        "a model's name is 1 to %d letters, digits, '.', '_' and '-', not first '.' or '-'",
                        REQUEST_NAME_MAX);
        }
        struct put *p = calloc(1, sizeof *p);
        if (!p) {
                unlink(path);
                return err_set(e, ERR_NO_MEMORY, "no memory for an upload");
        }
        *p = (struct put){.models = ms,
                .who = *who,
                .name = strdup(name),
                .path = strdup(path),
                .done = done,
                .ctx = ctx};
        int rc = p->name && p->path ? may_take(ms, who, name, who->operator, e)
                                    : err_set(e, ERR_NO_MEMORY, "no memory for an upload");
        const struct decode_caller caller = {who->user, put_checked, p};
        if (rc == 0)
                rc = decode_model(ms->decode, path, overrides, &caller, e);
        if (rc)
                put_free(p);
        else
                put_link(p);
        return rc;
}
