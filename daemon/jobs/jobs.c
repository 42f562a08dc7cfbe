#include "daemon/jobs/jobs.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "daemon/jobs/jobcore.h"
#include "daemon/jobs/jobrun.h"
#include "daemon/jobs/jobstrategies.h"
#include "daemon/jobs/shares.h"
#include "daemon/jobs/submit.h"
#include "daemon/models/modelrow.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Of every job, beside its points: its states and its end. */
enum { FEW_EVENTS = 10 };

static const char *const state_names[JOB_STATES] = {
        "queued", "running", "paused", "succeeded", "failed", "cancelled"};

#define BIT(state) (1U << (state))
static const unsigned job_transitions[JOB_STATES] = {
        [JOB_QUEUED] = BIT(JOB_RUNNING) | BIT(JOB_PAUSED) | BIT(JOB_FAILED) | BIT(JOB_CANCELLED),
        [JOB_RUNNING] =
                BIT(JOB_QUEUED) | BIT(JOB_PAUSED) | BIT(JOB_SUCCEEDED) | BIT(JOB_FAILED) | BIT(JOB_CANCELLED),
        [JOB_PAUSED] = BIT(JOB_QUEUED) | BIT(JOB_CANCELLED),
};

const char *job_state_name(enum job_state s)
{
        return state_names[s];
}

int job_state_parse(const char *name)
{
        for (int i = 0; i < JOB_STATES; i++)
                if (strcmp(state_names[i], name) == 0)
                        return i;
        return -1;
}

bool job_state_final(enum job_state s)
{
        return job_transitions[s] == 0;
}

bool job_state_allows(enum job_state from, enum job_state to)
{
        return (job_transitions[from] & BIT(to)) != 0;
}

int jobs_create(const struct jobs_options *o, struct jobs **ret, struct err *e)
{
        struct jobs *js = calloc(1, sizeof *js);
        if (js)
                js->state_dir = strdup(o->state_dir);
        if (!js || !js->state_dir) {
                jobs_destroy(js);
                return err_set(e, ERR_NO_MEMORY, "no memory for jobs");
        }
        js->home.store = o->store;
        js->quota = o->quota;
        js->datasets = o->datasets;
        js->models = o->models;
        js->supervisor = o->supervisor;
        js->carries = o->carries;
        js->reserve = o->reserve;
        js->changed = true;
        js->slice_seconds = o->slice_seconds;
        js->wall_ahead_ms = clock_wall_ms() - clock_now_ms();
        int rc = shares_create(o->store, o->half_life_seconds, &js->shares, e);
        if (rc == 0)
                rc = jobrun_recover(js, e);
        if (rc) {
                jobs_destroy(js);
                return rc;
        }
        jobsweep_begin(&js->sweep, js);
        *ret = js;
        return 0;
}

void jobs_destroy(struct jobs *js)
{
        if (!js)
                return;
        jobsweep_finish(&js->sweep);
        jobcore_forget_copies(js);
        shares_destroy(js->shares);
        jobline_finish(&js->line);
        free(js->state_dir);
        free(js);
}

void jobs_drain(struct jobs *js)
{
        js->draining = true;
}

void jobs_sweep(struct jobs *js)
{
        jobsweep_on(&js->sweep, js);
}

bool jobs_sweeping(const struct jobs *js)
{
        return !jobsweep_done(&js->sweep);
}

void jobs_set_hook(struct jobs *js, jobs_hook hook, void *ctx)
{
        js->home.hook = hook;
        js->home.hook_ctx = ctx;
}

static int store_submission(
        struct jobs *js, struct submission *s, const char *key, int64_t *ret_id, struct err *e)
{
        struct jobtx tx;
        int rc = jobtx_begin_new(&tx, &js->home, &s->row, key, e);
        int64_t id = tx.row.id;
        if (rc == 0)
                rc = jobfolder_make(js, id, s->init_from, e);
        if (rc == 0)
                rc = jobtx_event(&tx, "state", "{\"state\":\"queued\"}", e);
        rc = jobtx_end(&tx, rc, e);
        if (rc)
                return rc;
        js->changed = true;
        *ret_id = id;
        return 0;
}

int jobs_submit(struct jobs *js, const struct identity *who, const char *key, const cJSON *body,
        int64_t *ret_id, bool *ret_again, struct err *e)
{
        struct submission s = {0};
        int64_t first = 0;
        if (key && (!key[0] || strlen(key) > JOBS_KEY_MAX))
                return err_set(e, ERR_INVALID, "an Idempotency-Key has 1 to %d bytes", JOBS_KEY_MAX);
        int rc = key ? jobrow_by_key(js->home.store, who->user, key, &first, e) : 0;
        if (rc)
                return rc;
        if (first) {
                *ret_id = first;
                *ret_again = true;
                return 0;
        }
        if (js->draining)
                return err_set(
                        e, ERR_UNAVAILABLE, "the daemon is being stopped; submit again after its restart");
        rc = quota_job(js->quota, who, e);
        if (rc == 0)
                rc = submit_check(js, who, body, &s, e);
        if (rc == 0) {
                s.row.state = JOB_QUEUED;
                s.row.created_ms = clock_wall_ms();
                s.row.train_loss = s.row.train_acc = s.row.val_loss = s.row.val_acc = NAN;
                s.row.images_per_second = s.row.best_epoch = NAN;
                s.row.request = json_text(body);
                snprintf(s.row.user, sizeof s.row.user, "%s", who->user);
                if (!s.row.request || !s.row.name)
                        rc = err_set(e, ERR_NO_MEMORY, "no memory for a job");
        }
        if (rc == 0) {
                s.row.kept_bytes = jobrow_kept_bytes(&s.row, s.points + FEW_EVENTS) + s.result_bytes;
                rc = quota_save(js->quota, who, s.row.save_as, s.row.model_bytes, s.row.kept_bytes, e);
        }
        if (rc == 0)
                rc = store_submission(js, &s, key, ret_id, e);
        job_row_finish(&s.row);
        if (rc == 0)
                *ret_again = false;
        return rc;
}

int jobs_see(struct jobs *js, const struct identity *who, int64_t id, struct err *e)
{
        sqlite3_stmt *st;
        int rc = store_prepare(js->home.store, "SELECT user FROM jobs WHERE id = ?", &st, e);
        if (rc)
                return rc;
        store_bind_int(st, 1, id);
        rc = store_step(js->home.store, st, e);
        if (rc < 0)
                return rc;
        bool own = rc > 0 && identity_owns(who, store_text(st, 0));
        rc = own ? 0 : err_set(e, ERR_NOT_FOUND, "there is no job %lld", (long long)id);
        return store_done(js->home.store, st, rc, e);
}

/* Whose number that is only an operator is told. */
static int taken_by(const struct identity *who, const char *name, int64_t id, struct err *e)
{
        if (!who->operator)
                return err_set(e, ERR_EXISTS, "the name '%s' is taken by another user's job", name);
        return err_set(
                e, ERR_EXISTS, "job %lld of another user is to save its model as '%s'", (long long)id, name);
}

int jobs_may_save(struct jobs *js, const struct identity *who, const char *name, struct err *e)
{
        int64_t job = 0;
        int rc = models_may_save(js->models, who, name, e);
        if (rc == 0)
                rc = modelrow_awaited(js->home.store, name, who->user, &job, e);
        return job ? taken_by(who, name, job, e) : rc;
}

/* The job object with its place in the line. It may lack what there was no memory for: json_fell_short. */
static cJSON *job_json(struct jobs *js, const struct job_row *r)
{
        cJSON *o = jobrow_json(r), *queue = jobline_json(js, r);
        json_add(o, "queue", queue ? queue : cJSON_CreateNull());
        return o;
}

int jobs_get(struct jobs *js, int64_t id, cJSON **ret, struct err *e)
{
        struct job_row row;
        int rc = jobrow_read(js->home.store, id, &row, e);
        if (rc)
                return rc;
        cJSON *strategies = NULL, *job = NULL;
        if (row.type == JOB_TRAIN)
                rc = jobstrategies_read(js->home.store, id, &strategies, e);
        if (rc == 0)
                job = job_json(js, &row);
        job_row_finish(&row);
        if (rc) {
                cJSON_Delete(strategies);
                return rc;
        }
        json_add(job, "strategies", strategies ? strategies : cJSON_CreateObject());
        if (!job || json_fell_short()) {
                cJSON_Delete(job);
                return err_set(e, ERR_NO_MEMORY, "no memory for a job");
        }
        *ret = job;
        return 0;
}

struct list {
        struct jobs *jobs;
        cJSON *items;
};

static int add_to_list(void *ctx, struct job_row *r)
{
        const struct list *list = ctx;
        json_push(list->items, job_json(list->jobs, r));
        return 0;
}

int jobs_list(struct jobs *js, const struct jobs_filter *f, cJSON **ret, int64_t *ret_before, struct err *e)
{
        cJSON *list = cJSON_CreateArray();
        struct list ctx = {js, list};
        int64_t before = 0;
        int rc = jobrow_each(js->home.store, f, add_to_list, &ctx, &before, e);
        if (rc) {
                cJSON_Delete(list);
                return rc;
        }
        *ret = list;
        *ret_before = before;
        return 0;
}

/* A wish of a running job stands in its row, so that it outlives front and worker. */
static int wish(struct jobs *js, int64_t id, enum job_state to, enum job_want want, struct err *e)
{
        struct jobtx tx;
        int rc = jobtx_begin(&tx, &js->home, id, e);
        bool idle = rc == 0 && tx.row.state != JOB_RUNNING;
        if (idle)
                rc = jobtx_state(&tx, to, NULL, e);
        else if (rc == 0 && want == WANT_PAUSE && tx.row.want == WANT_CANCEL)
                rc = err_set(e, ERR_STATE, "job %lld is being cancelled", (long long)id);
        else if (rc == 0)
                tx.row.want = want;
        rc = jobtx_end(&tx, rc, e);
        if (rc == 0) {
                js->changed = true;
                if (idle)
                        jobfolder_tidy(js, id, to, false);
        }
        return rc;
}

int jobs_cancel(struct jobs *js, int64_t id, struct err *e)
{
        int rc;
        do
                rc = wish(js, id, JOB_CANCELLED, WANT_CANCEL, e);
        while (reserve_helps(js->reserve, rc));
        return rc;
}

int jobs_pause(struct jobs *js, int64_t id, struct err *e)
{
        return wish(js, id, JOB_PAUSED, WANT_PAUSE, e);
}

int jobs_resume(struct jobs *js, int64_t id, struct err *e)
{
        struct jobtx tx;
        int rc = jobtx_begin(&tx, &js->home, id, e);
        if (rc == 0 && tx.row.state == JOB_RUNNING && tx.row.want == WANT_PAUSE)
                tx.row.want = WANT_NOTHING;
        else if (rc == 0 && tx.row.state == JOB_RUNNING)
                rc = err_set(e, ERR_STATE, "job %lld is not paused", (long long)id);
        else if (rc == 0)
                rc = jobtx_state(&tx, JOB_QUEUED, NULL, e);
        rc = jobtx_end(&tx, rc, e);
        if (rc == 0)
                js->changed = true;
        return rc;
}

static int delete_rows(struct jobs *js, int64_t id, bool *ret_rest, struct err *e)
{
        int rc = store_begin(js->home.store, e);
        if (rc == 0)
                rc = jobsweep_events(js, id, ret_rest, e);
        if (rc == 0)
                rc = jobstrategies_delete(js->home.store, id, e);
        if (rc == 0)
                rc = jobrow_delete(js->home.store, id, e);
        if (rc == 0)
                rc = store_commit(js->home.store, e);
        if (rc)
                store_rollback(js->home.store);
        return rc;
}

int jobs_delete(struct jobs *js, int64_t id, struct err *e)
{
        struct job_row row;
        bool rest = false;
        int rc = jobrow_read(js->home.store, id, &row, e);
        if (rc)
                return rc;
        enum job_state state = row.state;
        job_row_finish(&row);
        if (!job_state_final(state))
                return err_set(e, ERR_STATE, "job %lld is %s: cancel it first", (long long)id,
                        job_state_name(state));
        do
                rc = delete_rows(js, id, &rest, e);
        while (reserve_helps(js->reserve, rc));
        if (rc)
                return rc;
        if (rest)
                jobsweep_rest(&js->sweep, id);
        jobfolder_remove(js, id);
        return 0;
}

/* Its last byte is read, so that a disk that fails is told before the answer begins. */
static int open_result(const struct jobs *js, int64_t id, int *ret_fd, uint64_t *ret_size, struct err *e)
{
        char last, *path = jobfolder_path(js, id, "/result.json");
        int rc = path ? file_open(path, ret_fd, ret_size, e)
                      : err_set(e, ERR_NO_MEMORY, "no memory for a path");
        if (rc == 0 && (rc = file_piece(*ret_fd, path, *ret_size - 1, &last, 1, e)) != 0)
                close(*ret_fd);
        free(path);
        return rc;
}

int jobs_result(struct jobs *js, int64_t id, int *ret_fd, uint64_t *ret_size, struct err *e)
{
        struct job_row row;
        struct err why = {0};
        int rc = jobrow_read(js->home.store, id, &row, e);
        if (rc)
                return rc;
        if (row.type != JOB_CLASSIFY)
                rc = err_set(e, ERR_STATE,
                        "job %lld is a %s job: it has no result but its events and its model", (long long)id,
                        job_type_name(row.type));
        else if (row.state != JOB_SUCCEEDED)
                rc = err_set(e, ERR_STATE, "job %lld is %s: its result is there once it has succeeded",
                        (long long)id, job_state_name(row.state));
        job_row_finish(&row);
        if (rc)
                return rc;
        rc = open_result(js, id, ret_fd, ret_size, &why);
        if (rc)
                *e = why;
        if (rc == ERR_IO || rc == ERR_SYNTAX) {
                log_line(LOG_ERROR, "job %lld: %s", (long long)id, why.message);
                rc = err_set(e, ERR_UNAVAILABLE, "the result of job %lld cannot be read", (long long)id);
        }
        return rc;
}

int jobs_events(
        struct jobs *js, int64_t job, int64_t after, int limit, jobs_row row, void *ctx, struct err *e)
{
        int rc = jobrow_there(js->home.store, job, e);
        return rc ? rc : jobtx_replay(js->home.store, job, after, limit, row, ctx, e);
}

int jobs_spare_dataset(struct jobs *js, const char *name, struct err *e)
{
        sqlite3_stmt *st;
        int rc = store_prepare(js->home.store,
                "SELECT id, state FROM jobs WHERE state IN ('queued', 'running', 'paused') AND dataset = ? "
                "LIMIT 1",
                &st, e);
        if (rc)
                return rc;
        store_bind_text(st, 1, name);
        rc = store_step(js->home.store, st, e);
        if (rc > 0)
                rc = err_set(e, ERR_STATE, "job %lld, which is %s, uses data set \"%s\"",
                        (long long)sqlite3_column_int64(st, 0), store_text(st, 1), name);
        sqlite3_reset(st);
        return rc;
}

int jobs_count(struct jobs *js, const char *user, int64_t counts[JOB_STATES], struct err *e)
{
        sqlite3_stmt *st;
        int rc = store_prepare(js->home.store,
                user ? "SELECT state, count(*) FROM jobs INDEXED BY jobs_user_state WHERE user = ? GROUP BY "
                       "state"
                     : "SELECT state, count(*) FROM jobs GROUP BY state",
                &st, e);
        if (rc)
                return rc;
        if (user)
                store_bind_text(st, 1, user);
        memset(counts, 0, JOB_STATES * sizeof *counts);
        while ((rc = store_step(js->home.store, st, e)) > 0) {
                int state = job_state_parse(store_text(st, 0));
                if (state >= 0)
                        counts[state] = sqlite3_column_int64(st, 1);
        }
        return rc;
}

int jobs_count_users(struct jobs *js, const char *user,
        void (*row)(void *ctx, const char *user, enum job_state state, int64_t count), void *ctx,
        struct err *e)
{
        sqlite3_stmt *st;
        int rc = store_prepare(js->home.store,
                "SELECT user, state, count(*) FROM jobs WHERE state IN ('queued', 'running', 'paused')"
                " AND (?1 IS NULL OR user = ?1) GROUP BY user, state",
                &st, e);
        if (rc == 0)
                store_bind_text(st, 1, user);
        while (rc == 0 && (rc = store_step(js->home.store, st, e)) > 0) {
                int state = job_state_parse(store_text(st, 1));
                if (state >= 0)
                        row(ctx, store_text(st, 0), (enum job_state)state, sqlite3_column_int64(st, 2));
                rc = 0;
        }
        return rc;
}

int jobs_stats(struct jobs *js, struct jobs_stats *ret, struct err *e)
{
        sqlite3_stmt *st;
        int rc = store_prepare(js->home.store,
                "SELECT created_at FROM jobs WHERE state = 'queued' ORDER BY id LIMIT 1", &st, e);
        if (rc == 0)
                rc = store_step(js->home.store, st, e);
        if (rc < 0)
                return rc;
        *ret = js->stats;
        ret->oldest_seconds = rc > 0 ? (double)(clock_wall_ms() - sqlite3_column_int64(st, 0)) / 1000 : 0;
        if (ret->oldest_seconds < 0) /* the clock was put back */
                ret->oldest_seconds = 0;
        sqlite3_reset(st);
        return 0;
}
