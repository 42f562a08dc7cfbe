#include "daemon/jobs/jobsweep.h"

#include "base/clock.h"
#include "base/log.h"
#include "daemon/jobs/jobcore.h"

#include <stdio.h>
#include <stdlib.h>

/* So long may a piece keep everybody waiting, and so many events go at once. */
enum { PIECE_US = 2000, PIECE_EVENTS = 2000 };

void jobsweep_begin(struct jobsweep *w, const struct jobs *js)
{
        char *path = NULL;
        *w = (struct jobsweep){.events = true};
        if (asprintf(&path, "%s/jobs", js->state_dir) < 0)
                return;
        w->dir = opendir(path);
        free(path);
}

/* What has no job is of a submission that was not committed, or of a job that was deleted: nobody asks for
   it. */
struct found {
        enum job_state state;
        bool there, saved; /* there is the job; its model has its place */
};

static int find(const struct jobs *js, int64_t id, struct found *ret, struct err *e)
{
        sqlite3_stmt *st;
        int rc = store_prepare(js->home.store, "SELECT state, model FROM jobs WHERE id = ?", &st, e);
        if (rc)
                return rc;
        store_bind_int(st, 1, id);
        rc = store_step(js->home.store, st, e);
        if (rc < 0)
                return rc;
        int state = rc > 0 ? job_state_parse(store_text(st, 0)) : JOB_QUEUED;
        *ret = (struct found){.state = state < 0 ? JOB_QUEUED : (enum job_state)state,
                .there = rc > 0,
                .saved = rc > 0 && store_text(st, 1)};
        return store_done(js->home.store, st, 0, e);
}

static int sweep_folder(const struct jobs *js, const char *name, struct err *e)
{
        char *end;
        struct found job = {.state = JOB_QUEUED, .there = true}; /* what is no number is no job's */
        int64_t id = strtoll(name, &end, 10);
        int rc = id > 0 && !*end ? find(js, id, &job, e) : 0;
        if (rc == 0 && job.there)
                jobfolder_tidy(js, id, job.state, job.saved);
        else if (rc == 0)
                jobfolder_remove(js, id);
        return rc;
}

static int sweep_link(const struct jobs *js, const char *file, struct err *e)
{
        struct found job = {.state = JOB_QUEUED, .there = true};
        int64_t id = jobfolder_link(file);
        int rc = id ? find(js, id, &job, e) : 0;
        if (rc == 0 && (!job.there || job_state_final(job.state)))
                jobfolder_unlink(js, id);
        return rc;
}

int jobsweep_events(const struct jobs *js, int64_t id, bool *ret_rest, struct err *e)
{
        sqlite3_stmt *st;
        int rc = store_prepare(js->home.store,
                "DELETE FROM events WHERE job = ?1 AND id IN"
                " (SELECT id FROM events WHERE job = ?1 ORDER BY id LIMIT ?2)",
                &st, e);
        if (rc == 0) {
                store_bind_int(st, 1, id);
                store_bind_int(st, 2, PIECE_EVENTS);
                rc = store_run(js->home.store, st, e);
        }
        if (rc == 0)
                rc = store_prepare(js->home.store, "SELECT 1 FROM events WHERE job = ? LIMIT 1", &st, e);
        if (rc)
                return rc;
        store_bind_int(st, 1, id);
        rc = store_step(js->home.store, st, e);
        sqlite3_reset(st);
        *ret_rest = rc > 0;
        return rc < 0 ? rc : 0;
}

void jobsweep_rest(struct jobsweep *w, int64_t id)
{
        if (!w->events || w->job >= id)
                w->job = id - 1;
        w->events = true;
}

/* The next job that has events; w->events becomes false where there is none. */
static int next_job(struct jobsweep *w, const struct jobs *js, int64_t *ret, struct err *e)
{
        sqlite3_stmt *st;
        int rc = store_prepare(
                js->home.store, "SELECT job FROM events WHERE job > ? ORDER BY job LIMIT 1", &st, e);
        if (rc)
                return rc;
        store_bind_int(st, 1, w->job);
        rc = store_step(js->home.store, st, e);
        w->events = rc > 0;
        *ret = rc > 0 ? sqlite3_column_int64(st, 0) : 0;
        sqlite3_reset(st);
        return rc < 0 ? rc : 0;
}

static int sweep_events(struct jobsweep *w, const struct jobs *js, struct err *e)
{
        struct found job = {0};
        bool rest = false;
        int64_t id = 0;
        int rc = next_job(w, js, &id, e);
        if (rc || !w->events)
                return rc;
        rc = find(js, id, &job, e);
        if (rc == 0 && !job.there)
                rc = jobsweep_events(js, id, &rest, e);
        if (rc == 0 && !rest)
                w->job = id;
        return rc;
}

static void end_of_folder(struct jobsweep *w, const struct jobs *js)
{
        closedir(w->dir);
        w->dir = w->links ? NULL : opendir(models_dir(js->models));
        w->links = true;
}

void jobsweep_on(struct jobsweep *w, const struct jobs *js)
{
        const struct dirent *file = NULL;
        struct err e = {0};
        int rc = 0;
        int64_t end = clock_now_us() + PIECE_US;
        while (rc == 0 && !jobsweep_done(w) && clock_now_us() < end) {
                if (w->dir && (file = readdir(w->dir)) != NULL)
                        rc = w->links ? sweep_link(js, file->d_name, &e) : sweep_folder(js, file->d_name, &e);
                else if (w->dir)
                        end_of_folder(w, js);
                else
                        rc = sweep_events(w, js, &e);
        }
        if (rc) {
                log_line(LOG_WARN, "what jobs have left behind stays until the next start: %s", e.message);
                jobsweep_finish(w);
        }
}

bool jobsweep_done(const struct jobsweep *w)
{
        return !w->dir && !w->events;
}

void jobsweep_finish(struct jobsweep *w)
{
        if (w->dir)
                closedir(w->dir);
        *w = (struct jobsweep){0};
}
