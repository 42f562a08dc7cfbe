#include "daemon/jobs/jobline.h"

#include "base/clock.h"
#include "daemon/jobs/jobcore.h"
#include "daemon/jobs/jobrun.h"
#include "daemon/jobs/line.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* So many times as long as a look at the line took, its outcome is good for. */
enum { GOOD_FOR = 20 };

void jobline_finish(struct jobline_cache *c)
{
        free(c->places);
        *c = (struct jobline_cache){0};
}

/* --- which goes next --- */

/* What the job needs and what is not there for now, in words; NULL where it may start. */
static const char *lacks(const struct jobs *js, int64_t id, const char *dataset)
{
        const struct dataset *data;
        struct err why; /* what is wrong otherwise the worker finds, and the job fails */
        int rc = datasets_find(js->datasets, dataset, &data, &why);
        if (rc == ERR_UNAVAILABLE || rc == ERR_DISK)
                return "it waits for its data set, which is being imported or not there: see GET "
                       "/v1/datasets";
        if (jobfolder_lacks(js, id))
                return "it waits for the model's weights: the file system that they lie on may not be "
                       "mounted";
        return NULL;
}

/* The highest priority below `limit` at which a job that fits waits. */
static int top_priority(struct jobs *js, const struct dev_info *info, uint64_t room, int64_t limit,
        bool *ret_found, int64_t *ret, struct err *e)
{
        sqlite3_stmt *st;
        int rc = store_prepare(js->home.store,
                "SELECT priority FROM jobs INDEXED BY jobs_line WHERE state = 'queued'"
                " AND priority < ?4 AND device_bytes <= ?1 AND largest_buffer <= ?2 AND tf32 <= ?3"
                " ORDER BY priority DESC LIMIT 1",
                &st, e);
        if (rc)
                return rc;
        store_bind_int(st, 1, (int64_t)room);
        store_bind_int(st, 2, (int64_t)info->max_alloc_bytes);
        store_bind_int(st, 3, info->tf32 != DEV_TF32_NONE);
        store_bind_int(st, 4, limit);
        rc = store_step(js->home.store, st, e);
        if (rc < 0)
                return rc;
        *ret_found = rc > 0;
        *ret = rc > 0 ? sqlite3_column_int64(st, 0) : 0;
        sqlite3_reset(st);
        return 0;
}

/* Of a priority, the oldest job that fits and may start of the first user behind `after`, by name. */
static int next_user(struct jobs *js, const struct dev_info *info, uint64_t room, int64_t priority,
        const char *after, struct jobline_pick *ret, struct err *e)
{
        sqlite3_stmt *st;
        bool held = ret->held;
        int rc = store_prepare(js->home.store,
                "SELECT id, user, dataset FROM jobs INDEXED BY jobs_line WHERE state = 'queued' AND priority "
                "= ?1 AND "
                "user > ?2"
                " AND device_bytes <= ?3 AND largest_buffer <= ?4 AND tf32 <= ?5 ORDER BY user, id",
                &st, e);
        if (rc)
                return rc;
        store_bind_int(st, 1, priority);
        store_bind_text(st, 2, after);
        store_bind_int(st, 3, (int64_t)room);
        store_bind_int(st, 4, (int64_t)info->max_alloc_bytes);
        store_bind_int(st, 5, info->tf32 != DEV_TF32_NONE);
        while ((rc = store_step(js->home.store, st, e)) > 0 &&
                lacks(js, sqlite3_column_int64(st, 0), store_text(st, 2)))
                held = true;
        if (rc < 0)
                return rc;
        *ret = (struct jobline_pick){
                .id = rc > 0 ? sqlite3_column_int64(st, 0) : 0, .priority = (int)priority, .held = held};
        if (rc > 0)
                snprintf(ret->user, sizeof ret->user, "%s", store_text(st, 1));
        return store_done(js->home.store, st, 0, e);
}

int jobline_next(
        struct jobs *js, const struct dev_info *info, uint64_t room, struct jobline_pick *ret, struct err *e)
{
        struct jobline_pick best = {0}, pick = {0};
        bool found = false;
        int64_t priority = INT64_MAX;
        int rc = top_priority(js, info, room, priority, &found, &priority, e);
        while (rc == 0 && found) {
                char after[IDENTITY_USER_MAX + 1];
                memcpy(after, pick.user, sizeof after);
                rc = next_user(js, info, room, priority, after, &pick, e);
                if (rc || (!pick.id && best.id))
                        break;
                if (!pick.id) {
                        rc = top_priority(js, info, room, priority, &found, &priority, e);
                        continue;
                }
                pick.seconds = jobrun_share(js, pick.user);
                if (!best.id || pick.seconds < best.seconds ||
                        (pick.seconds == best.seconds && pick.id < best.id))
                        best = pick;
        }
        best.held = pick.held;
        if (rc == 0)
                *ret = best;
        return rc;
}

/* --- where a job stands --- */

struct reading {
        struct line_job *jobs;
        double *seconds; /* of users */
        size_t count, room;
        int users;
        char user[IDENTITY_USER_MAX + 1]; /* the last one */
        int user_index;
};

static bool grow(struct reading *r)
{
        if (r->count < r->room)
                return true;
        size_t room = r->room ? r->room * 2 : 64;
        struct line_job *jobs = realloc(r->jobs, room * sizeof *jobs);
        if (jobs)
                r->jobs = jobs;
        double *seconds = realloc(r->seconds, room * sizeof *seconds);
        if (seconds)
                r->seconds = seconds;
        if (!jobs || !seconds)
                return false;
        r->room = room;
        return true;
}

/* The user's index: the same in every priority, so that what he gets in one counts in the next. */
static int user_index(
        const struct jobs *js, struct reading *r, char (**names)[IDENTITY_USER_MAX + 1], const char *user)
{
        for (int i = 0; i < r->users; i++)
                if (strcmp((*names)[i], user) == 0)
                        return i;
        void *more = realloc(*names, ((size_t)r->users + 1) * sizeof **names);
        if (!more)
                return -1;
        *names = more;
        snprintf((*names)[r->users], sizeof **names, "%s", user);
        r->seconds[r->users] = jobrun_share(js, user);
        return r->users++;
}

static int read_jobs(struct jobs *js, struct reading *r, struct err *e)
{
        sqlite3_stmt *st = NULL;
        char(*names)[IDENTITY_USER_MAX + 1] = NULL;
        int rc = store_prepare(js->home.store,
                "SELECT id, priority, user FROM jobs INDEXED BY jobs_line WHERE state = 'queued'"
                " ORDER BY priority DESC, user, id",
                &st, e);
        while (rc == 0 && (rc = store_step(js->home.store, st, e)) > 0) {
                const char *user = store_text(st, 2);
                rc = grow(r) ? 0 : err_set(e, ERR_NO_MEMORY, "no memory for the line");
                if (rc == 0 && (r->count == 0 || strcmp(r->user, user) != 0)) {
                        r->user_index = user_index(js, r, &names, user);
                        snprintf(r->user, sizeof r->user, "%s", user);
                        if (r->user_index < 0)
                                rc = err_set(e, ERR_NO_MEMORY, "no memory for the line");
                }
                if (rc)
                        break;
                r->jobs[r->count++] = (struct line_job){.id = sqlite3_column_int64(st, 0),
                        .priority = sqlite3_column_int(st, 1),
                        .user = r->user_index};
        }
        free(names);
        return st ? store_done(js->home.store, st, rc, e) : rc;
}

static int by_id(const void *a, const void *b)
{
        const struct jobline_place *x = a, *y = b;
        return x->id < y->id ? -1 : x->id > y->id;
}

static void look(struct jobs *js)
{
        struct reading r = {0};
        struct err e;
        struct jobline_cache *c = &js->line;
        int64_t begin = clock_now_us();
        int rc = read_jobs(js, &r, &e);
        struct jobline_place *places = rc == 0 ? malloc((r.count + 1) * sizeof *places) : NULL;
        if (places) {
                line_order(r.jobs, r.count, r.seconds, js->slice_seconds);
                for (size_t i = 0; i < r.count; i++)
                        places[i] = (struct jobline_place){r.jobs[i].id, r.jobs[i].position};
                qsort(places, r.count, sizeof *places, by_id);
                free(c->places);
                c->places = places;
                c->count = r.count;
        }
        free(r.jobs);
        free(r.seconds);
        int64_t end = clock_now_us();
        c->until_us = end + GOOD_FOR * (end - begin);
}

/* 0 for one that was not there at the last look. */
static int position_of(struct jobs *js, int64_t id)
{
        const struct jobline_place key = {.id = id};
        if (clock_now_us() >= js->line.until_us)
                look(js);
        const struct jobline_place *p =
                js->line.count ? bsearch(&key, js->line.places, js->line.count, sizeof key, by_id) : NULL;
        return p ? p->position : 0;
}

static void give_reason(const struct jobs *js, const struct job_row *r, int position, char *out, size_t size)
{
        const char *lack = lacks(js, r->id, r->dataset);
        const struct supervisor *sv = js->supervisor;
        int ready = 0, fitting = 0, idle = 0, roomy = 0, yielding = 0;
        uint64_t room = 0; /* the most of those it fits */
        for (int i = 0; i < supervisor_count(sv); i++) {
                const struct dev_info *info = supervisor_info(sv, i);
                if (supervisor_state(sv, i) != DEVICE_READY)
                        continue;
                ready++;
                bool fits = r->device_bytes <= (int64_t)info->global_bytes &&
                            r->largest_buffer <= (int64_t)info->max_alloc_bytes &&
                            r->tf32 <= (info->tf32 != DEV_TF32_NONE);
                if (!fits)
                        continue;
                const bool now = r->device_bytes <= (int64_t)supervisor_room(sv, i);
                fitting++;
                roomy += now;
                const bool free_now = now && supervisor_job(sv, i) == 0, yields = supervisor_yields(sv, i);
                idle += free_now && !yields;
                yielding += free_now && yields;
                room = supervisor_room(sv, i) > room ? supervisor_room(sv, i) : room;
        }
        if (js->draining)
                snprintf(out, size, "the daemon is being stopped");
        else if (lack)
                snprintf(out, size, "%s", lack);
        else if (!ready)
                snprintf(out, size, "no device is ready");
        else if (!fitting)
                snprintf(out, size,
                        r->tf32 ? "no device that is ready has tf32 and the memory it takes"
                                : "no device that is ready has the memory it takes");
        else if (!roomy)
                snprintf(out, size,
                        "it takes %lld bytes of a device, of which other programs and its driver leave "
                        "%llu now: it starts when they use less",
                        (long long)r->device_bytes, (unsigned long long)room);
        else if (position > 1)
                snprintf(out, size, "%d %s before it", position - 1, position == 2 ? "job goes" : "jobs go");
        else if (idle)
                snprintf(out, size, "it is next, and a device is free: it starts at once");
        else if (yielding)
                snprintf(out, size,
                        "it is next, and a device is free, but a GPU is being started: until that is done no "
                        "other device takes a job");
        else
                snprintf(out, size, "it is next: it starts as soon as a device that it fits is free");
}

cJSON *jobline_json(struct jobs *js, const struct job_row *r)
{
        char reason[160];
        cJSON *o = r->state == JOB_QUEUED ? cJSON_CreateObject() : NULL;
        if (!o)
                return NULL;
        int position = position_of(js, r->id);
        if (position)
                cJSON_AddNumberToObject(o, "position", position);
        else
                cJSON_AddNullToObject(o, "position");
        give_reason(js, r, position, reason, sizeof reason);
        cJSON_AddStringToObject(o, "reason", reason);
        return o;
}
