#include "daemon/jobs/jobrow.h"

#include "base/clock.h"
#include "base/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const type_names[] = {"train", "classify"};
static const char *const want_names[] = {"", "pause", "cancel"};

#define COLUMNS                                                                                              \
        "id, type, name, user, state, want, device, request, dataset, model, save_as, created_at,"           \
        " started_at, finished_at, epoch, step, steps, train_step, validation_step, checkpoint_step,"        \
        " train_loss, train_acc, val_loss, val_acc, images_per_second, device_bytes, largest_buffer,"        \
        " micro_batch, failures, events, error, note, priority, device_seconds, tf32, model_bytes,"          \
        " kept_bytes, best_epoch"

void job_row_finish(struct job_row *r)
{
        free(r->name);
        free(r->request);
        free(r->error);
        free(r->note);
        *r = (struct job_row){0};
}

const char *job_type_name(enum job_type t)
{
        return type_names[t];
}

static void copy_text(sqlite3_stmt *st, int column, char *out, size_t size)
{
        const char *text = store_text(st, column);
        snprintf(out, size, "%s", text ? text : "");
}

static double read_double(sqlite3_stmt *st, int column)
{
        return sqlite3_column_type(st, column) == SQLITE_NULL ? NAN : sqlite3_column_double(st, column);
}

static int find_name(const char *const *names, int count, const char *name)
{
        for (int i = 0; i < count; i++)
                if (name && strcmp(names[i], name) == 0)
                        return i;
        return -1;
}

static bool copy_of(sqlite3_stmt *st, int column, char **ret)
{
        const char *text = store_text(st, column);
        *ret = text ? strdup(text) : NULL;
        return *ret || !text;
}

/* A row of COLUMNS; the statement's end tells whether all of it could be read. */
static int read_row(sqlite3_stmt *st, struct job_row *ret, struct err *e)
{
        struct job_row r = {.id = sqlite3_column_int64(st, 0)};
        int type = find_name(type_names, 2, store_text(st, 1));
        const char *state_text = store_text(st, 4);
        int state = state_text ? job_state_parse(state_text) : -1;
        int want = find_name(want_names, 3, store_text(st, 5));
        if (type < 0 || state < 0 || want < 0)
                return err_set(e, ERR_INTERNAL, "row of job %lld cannot be read", (long long)r.id);
        r.type = (enum job_type)type;
        r.state = (enum job_state)state;
        r.want = (enum job_want)want;
        copy_text(st, 3, r.user, sizeof r.user);
        copy_text(st, 6, r.device, sizeof r.device);
        copy_text(st, 8, r.dataset, sizeof r.dataset);
        copy_text(st, 9, r.model, sizeof r.model);
        copy_text(st, 10, r.save_as, sizeof r.save_as);
        r.created_ms = sqlite3_column_int64(st, 11);
        r.started_ms = sqlite3_column_int64(st, 12);
        r.finished_ms = sqlite3_column_int64(st, 13);
        r.epoch = sqlite3_column_double(st, 14);
        r.step = sqlite3_column_int64(st, 15);
        r.steps = sqlite3_column_int64(st, 16);
        r.train_step = sqlite3_column_int64(st, 17);
        r.validation_step = sqlite3_column_int64(st, 18);
        r.checkpoint_step = sqlite3_column_int64(st, 19);
        r.train_loss = read_double(st, 20);
        r.train_acc = read_double(st, 21);
        r.val_loss = read_double(st, 22);
        r.val_acc = read_double(st, 23);
        r.images_per_second = read_double(st, 24);
        r.device_bytes = sqlite3_column_int64(st, 25);
        r.largest_buffer = sqlite3_column_int64(st, 26);
        r.micro_batch = sqlite3_column_int(st, 27);
        r.failures = sqlite3_column_int(st, 28);
        r.events = sqlite3_column_int64(st, 29);
        r.priority = sqlite3_column_int(st, 32);
        r.device_seconds = sqlite3_column_double(st, 33);
        r.tf32 = sqlite3_column_int(st, 34) != 0;
        r.model_bytes = sqlite3_column_int64(st, 35);
        r.kept_bytes = sqlite3_column_int64(st, 36);
        r.best_epoch = read_double(st, 37);
        if (!copy_of(st, 2, &r.name) || !copy_of(st, 7, &r.request) || !copy_of(st, 30, &r.error) ||
                !copy_of(st, 31, &r.note)) {
                job_row_finish(&r);
                return err_set(e, ERR_NO_MEMORY, "no memory for a job");
        }
        *ret = r;
        return 0;
}

/* A statement of one row, that of a job, which store_done ends. */
static int find_row(struct store *s, const char *sql, int64_t id, sqlite3_stmt **ret, struct err *e)
{
        int rc = store_prepare(s, sql, ret, e);
        if (rc)
                return rc;
        store_bind_int(*ret, 1, id);
        rc = store_step(s, *ret, e);
        if (rc == 0)
                return err_set(e, ERR_NOT_FOUND, "there is no job %lld", (long long)id);
        return rc < 0 ? rc : 0;
}

int jobrow_read(struct store *s, int64_t id, struct job_row *ret, struct err *e)
{
        sqlite3_stmt *st;
        int rc = find_row(s, "SELECT " COLUMNS " FROM jobs WHERE id = ?", id, &st, e);
        if (rc)
                return rc;
        struct job_row r = {0};
        rc = store_done(s, st, read_row(st, &r, e), e);
        if (rc)
                job_row_finish(&r);
        else
                *ret = r;
        return rc;
}

int jobrow_want(struct store *s, int64_t id, enum job_want *ret, struct err *e)
{
        sqlite3_stmt *st;
        int rc = find_row(s, "SELECT want FROM jobs WHERE id = ?", id, &st, e);
        if (rc)
                return rc;
        const int want = find_name(want_names, 3, store_text(st, 0));
        rc = want < 0 ? err_set(e, ERR_INTERNAL, "row of job %lld cannot be read", (long long)id) : 0;
        rc = store_done(s, st, rc, e);
        if (rc == 0)
                *ret = (enum job_want)want;
        return rc;
}

int jobrow_there(struct store *s, int64_t id, struct err *e)
{
        enum job_want unused;
        return jobrow_want(s, id, &unused, e);
}

static void bind_time(sqlite3_stmt *st, int i, int64_t ms)
{
        if (ms)
                store_bind_int(st, i, ms);
}

static const char *or_null(const char *text)
{
        return text[0] ? text : NULL;
}

int jobrow_insert(struct store *s, struct job_row *r, const char *key, struct err *e)
{
        sqlite3_stmt *st;
        int rc = store_prepare(s,
                "INSERT INTO jobs(type, name, user, key, state, want, request, dataset, model, save_as, "
                "created_at,"
                " epoch, step, steps, train_step, validation_step, checkpoint_step, device_bytes, "
                "largest_buffer,"
                " micro_batch, note, priority, tf32, model_bytes, kept_bytes, failures, events)"
                " VALUES(?, ?, ?, ?, ?, '', ?, ?, ?, ?, ?, 0, 0, ?, 0, 0, 0, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0)",
                &st, e);
        if (rc)
                return rc;
        store_bind_text(st, 1, type_names[r->type]);
        store_bind_text(st, 2, r->name);
        store_bind_text(st, 3, r->user);
        store_bind_text(st, 4, key);
        store_bind_text(st, 5, job_state_name(r->state));
        store_bind_text(st, 6, r->request);
        store_bind_text(st, 7, r->dataset);
        store_bind_text(st, 8, or_null(r->model));
        store_bind_text(st, 9, or_null(r->save_as));
        store_bind_int(st, 10, r->created_ms);
        store_bind_int(st, 11, r->steps);
        store_bind_int(st, 12, r->device_bytes);
        store_bind_int(st, 13, r->largest_buffer);
        store_bind_int(st, 14, r->micro_batch);
        store_bind_text(st, 15, r->note);
        store_bind_int(st, 16, r->priority);
        store_bind_int(st, 17, r->tf32);
        store_bind_int(st, 18, r->model_bytes);
        store_bind_int(st, 19, r->kept_bytes);
        rc = store_run(s, st, e);
        if (rc)
                return rc;
        rc = store_prepare(s, "SELECT last_insert_rowid()", &st, e);
        if (rc == 0)
                rc = store_step(s, st, e);
        if (rc < 0)
                return rc;
        r->id = sqlite3_column_int64(st, 0);
        sqlite3_reset(st);
        return 0;
}

int64_t jobrow_kept_bytes(const struct job_row *r, int64_t events)
{
        return (int64_t)strlen(r->request) + events * JOBROW_EVENT_BYTES;
}

int jobrow_update(struct store *s, const struct job_row *r, struct err *e)
{
        sqlite3_stmt *st;
        const double metrics[] = {r->train_loss, r->train_acc, r->val_loss, r->val_acc, r->images_per_second};
        int rc = store_prepare(s,
                "UPDATE jobs SET state=?, want=?, device=?, model=?, started_at=?, finished_at=?, epoch=?, "
                "step=?,"
                " steps=?, train_step=?, validation_step=?, checkpoint_step=?, train_loss=?, train_acc=?,"
                " val_loss=?, val_acc=?, images_per_second=?, device_bytes=?, micro_batch=?, failures=?,"
                " events=?, error=?, note=?, device_seconds=?, kept_bytes=?, best_epoch=? WHERE id=?",
                &st, e);
        if (rc)
                return rc;
        store_bind_text(st, 1, job_state_name(r->state));
        store_bind_text(st, 2, want_names[r->want]);
        store_bind_text(st, 3, or_null(r->device));
        store_bind_text(st, 4, or_null(r->model));
        bind_time(st, 5, r->started_ms);
        bind_time(st, 6, r->finished_ms);
        store_bind_double(st, 7, r->epoch);
        store_bind_int(st, 8, r->step);
        store_bind_int(st, 9, r->steps);
        store_bind_int(st, 10, r->train_step);
        store_bind_int(st, 11, r->validation_step);
        store_bind_int(st, 12, r->checkpoint_step);
        for (int i = 0; i < 5; i++)
                store_bind_double(st, 13 + i, metrics[i]); /* SQLite stores NaN as NULL */
        store_bind_int(st, 18, r->device_bytes);
        store_bind_int(st, 19, r->micro_batch);
        store_bind_int(st, 20, r->failures);
        store_bind_int(st, 21, r->events);
        store_bind_text(st, 22, r->error);
        store_bind_text(st, 23, r->note);
        store_bind_double(st, 24, r->device_seconds);
        store_bind_int(st, 25, r->kept_bytes);
        store_bind_double(st, 26, r->best_epoch);
        store_bind_int(st, 27, r->id);
        return store_run(s, st, e);
}

int jobrow_delete(struct store *s, int64_t id, struct err *e)
{
        sqlite3_stmt *st;
        int rc = store_prepare(s, "DELETE FROM jobs WHERE id = ?", &st, e);
        if (rc)
                return rc;
        store_bind_int(st, 1, id);
        return store_run(s, st, e);
}

int jobrow_by_key(struct store *s, const char *user, const char *key, int64_t *ret, struct err *e)
{
        sqlite3_stmt *st;
        int rc = store_prepare(s, "SELECT id FROM jobs WHERE user = ? AND key = ?", &st, e);
        if (rc)
                return rc;
        store_bind_text(st, 1, user);
        store_bind_text(st, 2, key);
        rc = store_step(s, st, e);
        if (rc < 0)
                return rc;
        *ret = rc ? sqlite3_column_int64(st, 0) : 0;
        sqlite3_reset(st);
        return 0;
}

#define LIST(where) "SELECT " COLUMNS " FROM jobs " where " id < ?1 ORDER BY id DESC LIMIT ?2"

/* A statement for each set of conditions: each finds its rows in their order by one index, however many
   others there are. */
static int prepare_list(
        struct store *s, const struct jobs_filter *f, const char *user, sqlite3_stmt **ret, struct err *e)
{
        static const char *const lists[2][2] = {/* [with a state][with a user] */
                {LIST("WHERE"), LIST("INDEXED BY jobs_user WHERE user = ?3 AND")},
                {LIST("INDEXED BY jobs_state WHERE state = ?4 AND"),
                        LIST("INDEXED BY jobs_user_state WHERE user = ?3 AND state = ?4 AND")}};
        int rc = store_prepare(s, lists[f->state >= 0][user != NULL], ret, e);
        if (rc)
                return rc;
        store_bind_int(*ret, 1, f->before ? f->before : INT64_MAX);
        store_bind_int(*ret, 2, f->limit);
        if (user)
                store_bind_text(*ret, 3, user);
        if (f->state >= 0)
                store_bind_text(*ret, 4, job_state_name((enum job_state)f->state));
        return 0;
}

static size_t text_bytes(const struct job_row *r)
{
        const char *const texts[] = {r->name, r->request, r->error, r->note};
        size_t bytes = 0;
        for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
                bytes += texts[i] ? strlen(texts[i]) : 0;
        return bytes;
}

int jobrow_each(struct store *s, const struct jobs_filter *f, int (*row)(void *ctx, struct job_row *r),
        void *ctx, int64_t *ret_before, struct err *e)
{
        sqlite3_stmt *st;
        const char *user = f->user ? f->user : f->own;
        size_t bytes = 0;
        int64_t last = 0;
        *ret_before = 0;
        if (f->user && f->own && strcmp(f->user, f->own) != 0)
                return 0;
        int rc = prepare_list(s, f, user, &st, e);
        if (rc)
                return rc;
        while ((rc = store_step(s, st, e)) > 0) {
                struct job_row r;
                rc = read_row(st, &r, e);
                if (rc)
                        break;
                bytes += text_bytes(&r);
                bool full = last && bytes > JOBROW_LIST_BYTES;
                if (full)
                        *ret_before = last;
                else
                        rc = row(ctx, &r);
                last = r.id;
                job_row_finish(&r);
                if (rc || full)
                        break;
        }
        return store_done(s, st, rc, e);
}

static void add_text(cJSON *o, const char *key, const char *text)
{
        if (text && text[0])
                cJSON_AddStringToObject(o, key, text);
        else
                cJSON_AddNullToObject(o, key);
}

static void add_time(cJSON *o, const char *key, int64_t ms)
{
        char text[CLOCK_TEXT];
        if (ms)
                clock_text(ms, text);
        add_text(o, key, ms ? text : NULL);
}

static void add_metric(cJSON *o, const char *key, double v)
{
        if (isfinite(v))
                cJSON_AddNumberToObject(o, key, v);
        else
                cJSON_AddNullToObject(o, key);
}

static void add_numbers(cJSON *o, const struct job_row *r)
{
        /* A classify job tells of no step on its way. */
        bool whole = r->type == JOB_CLASSIFY && r->state == JOB_SUCCEEDED;
        cJSON *progress = cJSON_AddObjectToObject(o, "progress");
        cJSON_AddNumberToObject(progress, "epoch", r->epoch);
        cJSON_AddNumberToObject(progress, "step", (double)(whole ? r->steps : r->step));
        cJSON_AddNumberToObject(progress, "steps", (double)r->steps);
        cJSON *metrics = cJSON_AddObjectToObject(o, "metrics");
        add_metric(metrics, "train_loss", r->train_loss);
        add_metric(metrics, "train_acc", r->train_acc);
        add_metric(metrics, "val_loss", r->val_loss);
        add_metric(metrics, "val_acc", r->val_acc);
        add_metric(metrics, "images_per_second", r->images_per_second);
        add_metric(metrics, "best_epoch", r->best_epoch);
        cJSON *memory = cJSON_AddObjectToObject(o, "memory");
        cJSON_AddNumberToObject(memory, "device_bytes", (double)r->device_bytes);
        cJSON_AddNumberToObject(memory, "micro_batch", r->micro_batch);
}

/* A line each. */
static void add_notes(cJSON *list, const char *note)
{
        for (const char *at = note; at && at[0];) {
                size_t len = strcspn(at, "\n");
                char *line = strndup(at, len);
                json_push(list, line ? cJSON_CreateString(line) : NULL);
                free(line);
                at += len + (at[len] == '\n');
        }
}

cJSON *jobrow_json(const struct job_row *r)
{
        cJSON *o = cJSON_CreateObject();
        cJSON_AddNumberToObject(o, "id", (double)r->id);
        cJSON_AddStringToObject(o, "type", type_names[r->type]);
        cJSON_AddStringToObject(o, "name", r->name);
        cJSON_AddStringToObject(o, "user", r->user);
        cJSON_AddStringToObject(o, "state", job_state_name(r->state));
        cJSON_AddNumberToObject(o, "priority", r->priority);
        add_text(o, "device", r->device);
        add_time(o, "created_at", r->created_ms);
        add_time(o, "started_at", r->started_ms);
        add_time(o, "finished_at", r->finished_ms);
        if (r->type == JOB_TRAIN)
                cJSON_AddStringToObject(o, "precision", r->tf32 ? "tf32" : "fp32");
        add_numbers(o, r);
        cJSON_AddNumberToObject(o, "device_seconds", r->device_seconds);
        add_notes(cJSON_AddArrayToObject(o, "notes"), r->note);
        add_text(o, "model", r->model);
        add_text(o, "error", r->error);
        json_add(o, "request", cJSON_CreateRaw(r->request));
        return o;
}
