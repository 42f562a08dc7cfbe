#include "daemon/models/modelrow.h"

#include "base/clock.h"
#include "base/json.h"

#include <string.h>

static int next_generation(struct store *s, int64_t *ret, struct err *e)
{
        sqlite3_stmt *st;
        int rc = store_prepare(s,
                "UPDATE counters SET value = value + 1 WHERE name = 'model_generation' RETURNING value", &st,
                e);
        if (rc)
                return rc;
        rc = store_step(s, st, e);
        if (rc < 0)
                return rc;
        *ret = sqlite3_column_int64(st, 0);
        while ((rc = store_step(s, st, e)) > 0)
                continue;
        return rc;
}

int modelrow_put(struct store *s, const char *name, const char *user, int64_t job, const char *metrics,
        const struct modelfile *f, struct err *e)
{
        sqlite3_stmt *st;
        int64_t generation = 0;
        int rc = next_generation(s, &generation, e);
        if (rc == 0)
                rc = store_prepare(s,
                        "INSERT OR REPLACE INTO models(name, generation, user, job, created_at, "
                        "architecture, c, h, w,"
                        " classes, preprocessing, metrics, bytes, inode, mtime_ns, mark)"
                        " VALUES(?1, ?2, coalesce((SELECT nullif(user, '') FROM models WHERE name = ?1), ?3),"
                        " ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                        &st, e);
        if (rc)
                return rc;
        store_bind_text(st, 1, name);
        store_bind_int(st, 2, generation);
        store_bind_text(st, 3, user);
        store_bind_int(st, 4, job);
        store_bind_int(st, 5, clock_wall_ms());
        store_bind_text(st, 6, f->architecture);
        for (int i = 0; i < 3; i++)
                store_bind_int(st, 7 + i, f->input[i]);
        store_bind_text(st, 10, f->classes);
        store_bind_text(st, 11, f->preprocessing);
        store_bind_text(st, 12, metrics);
        store_bind_int(st, 13, f->bytes);
        store_bind_int(st, 14, f->inode);
        store_bind_int(st, 15, f->mtime_ns);
        store_bind_text(st, 16, f->mark);
        return store_run(s, st, e);
}

int modelrow_drop(struct store *s, const char *name, struct err *e)
{
        sqlite3_stmt *st;
        int rc = store_prepare(s, "DELETE FROM models WHERE name = ?", &st, e);
        if (rc)
                return rc;
        store_bind_text(st, 1, name);
        return store_run(s, st, e);
}

int modelrow_disown(struct store *s, const char *name, struct err *e)
{
        sqlite3_stmt *st;
        int rc = store_prepare(s, "UPDATE models SET user = '' WHERE name = ?", &st, e);
        if (rc)
                return rc;
        store_bind_text(st, 1, name);
        return store_run(s, st, e);
}

int modelrow_awaited(struct store *s, const char *name, const char *user, int64_t *ret_job, struct err *e)
{
        sqlite3_stmt *st;
        int rc = store_prepare(s,
                "SELECT id FROM jobs WHERE state IN ('queued', 'running', 'paused') AND save_as = ?1"
                " AND user <> ?2 LIMIT 1",
                &st, e);
        if (rc)
                return rc;
        store_bind_text(st, 1, name);
        store_bind_text(st, 2, user);
        rc = store_step(s, st, e);
        *ret_job = rc > 0 ? sqlite3_column_int64(st, 0) : 0;
        sqlite3_reset(st);
        return rc < 0 ? rc : 0;
}

int modelrow_set_file(
        struct store *s, const char *name, const struct modelfile_stat *file, const char *mark, struct err *e)
{
        sqlite3_stmt *st;
        int rc = store_prepare(
                s, "UPDATE models SET inode = ?, mtime_ns = ?, mark = nullif(?, '') WHERE name = ?", &st, e);
        if (rc)
                return rc;
        store_bind_int(st, 1, file->inode);
        store_bind_int(st, 2, file->mtime_ns);
        store_bind_text(st, 3, mark);
        store_bind_text(st, 4, name);
        return store_run(s, st, e);
}

int modelrow_find(struct store *s, const char *name, sqlite3_stmt **ret, struct err *e)
{
        int rc = store_prepare(s,
                "SELECT name, generation, user, job, created_at, architecture, c, h, w, classes, "
                "preprocessing,"
                " metrics, bytes, inode, mtime_ns, mark FROM models WHERE name = ?",
                ret, e);
        if (rc)
                return rc;
        store_bind_text(*ret, 1, name);
        rc = store_step(s, *ret, e);
        return rc ? rc : err_set(e, ERR_NOT_FOUND, "there is no model '%s'", name);
}

int modelrow_give(struct store *s, const char *name, const char *user, struct err *e)
{
        sqlite3_stmt *st;
        int rc = modelrow_find(s, name, &st, e);
        if (rc < 0)
                return rc;
        const char *owner = store_text(st, MODELROW_USER);
        rc = owner[0] ? err_set(e, ERR_EXISTS, "the model '%s' is %s's already", name, owner) : 0;
        rc = store_done(s, st, rc, e);
        if (rc == 0)
                rc = store_prepare(s, "UPDATE models SET user = ? WHERE name = ? AND user = ''", &st, e);
        if (rc)
                return rc;
        store_bind_text(st, 1, user);
        store_bind_text(st, 2, name);
        return store_run(s, st, e);
}

#define LIST(where)                                                                                          \
        "SELECT name, generation, user, job, created_at, architecture, c, h, w, classes, preprocessing,"     \
        " metrics, bytes FROM models WHERE " where " ORDER BY name"

/* Either walks one index, however many others there are. */
int modelrow_after(struct store *s, const char *user, const char *after, sqlite3_stmt **ret, struct err *e)
{
        int rc = user ? store_prepare(s, LIST("user = ?2 AND name > ?1"), ret, e)
                      : store_prepare(s, LIST("name > ?1"), ret, e);
        if (rc)
                return rc;
        store_bind_text(*ret, 1, after);
        if (user)
                store_bind_text(*ret, 2, user);
        return 0;
}

size_t modelrow_bytes(sqlite3_stmt *st)
{
        static const int columns[] = {
                MODELROW_ARCHITECTURE, MODELROW_CLASSES, MODELROW_PREPROCESSING, MODELROW_METRICS};
        size_t bytes = 0;
        for (size_t i = 0; i < sizeof columns / sizeof columns[0]; i++)
                bytes += (size_t)sqlite3_column_bytes(st, columns[i]);
        return bytes;
}

static void add_json(cJSON *o, const char *key, sqlite3_stmt *st, int column, bool raw)
{
        const char *text = store_text(st, column);
        json_add(o, key,
                !text ? cJSON_CreateNull()
                : raw ? cJSON_CreateRaw(text)
                      : json_parse(text, strlen(text), NULL));
}

cJSON *modelrow_json(sqlite3_stmt *st, bool raw)
{
        char text[CLOCK_TEXT];
        int input[3];
        cJSON *o = cJSON_CreateObject();
        for (int i = 0; i < 3; i++)
                input[i] = sqlite3_column_int(st, MODELROW_INPUT + i);
        cJSON_AddStringToObject(o, "name", store_text(st, MODELROW_NAME));
        add_json(o, "architecture", st, MODELROW_ARCHITECTURE, raw);
        json_add(o, "input", cJSON_CreateIntArray(input, 3));
        add_json(o, "classes", st, MODELROW_CLASSES, raw);
        add_json(o, "preprocessing", st, MODELROW_PREPROCESSING, raw);
        add_json(o, "metrics", st, MODELROW_METRICS, raw);
        if (sqlite3_column_int64(st, MODELROW_JOB))
                cJSON_AddNumberToObject(o, "job", (double)sqlite3_column_int64(st, MODELROW_JOB));
        else
                cJSON_AddNullToObject(o, "job");
        cJSON_AddStringToObject(o, "user", store_text(st, MODELROW_USER));
        clock_text(sqlite3_column_int64(st, MODELROW_CREATED), text);
        cJSON_AddStringToObject(o, "created_at", text);
        cJSON_AddNumberToObject(o, "bytes", (double)sqlite3_column_int64(st, MODELROW_BYTES));
        return o;
}
