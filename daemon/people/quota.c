#include "daemon/people/quota.h"

#include "daemon/common/bucket.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Users that are remembered; those without a connection whose buckets are full are forgotten first. */
enum { MAX_SPENDERS = 4096, BURST_SECONDS = 2 };
/* Seconds of the front's one thread: a second, and at once. */
static const double work_rate = 0.5, work_burst = 1;

struct spender {
        char user[IDENTITY_USER_MAX + 1];
        struct bucket bucket, work; /* requests, seconds */
        int64_t connections;
};

struct quota {
        struct quota_limits limits;
        struct store *store;
        struct spender *spenders; /* owned */
        int count, room;
};

struct quota *quota_create(const struct quota_limits *limits, struct store *store)
{
        struct quota *q = calloc(1, sizeof *q);
        if (!q)
                return NULL;
        q->limits = *limits;
        q->store = store;
        return q;
}

void quota_destroy(struct quota *q)
{
        if (!q)
                return;
        free(q->spenders);
        free(q);
}

static void forget_idle(struct quota *q, int64_t now_ms)
{
        int kept = 0;
        for (int i = 0; i < q->count; i++) {
                const struct spender *s = &q->spenders[i];
                if (s->connections || !bucket_full(&s->bucket, q->limits.requests_per_second, now_ms) ||
                        !bucket_full(&s->work, work_rate, now_ms))
                        q->spenders[kept++] = *s;
        }
        q->count = kept;
}

static struct spender *find(struct quota *q, const char *user)
{
        for (int i = 0; i < q->count; i++)
                if (strcmp(q->spenders[i].user, user) == 0)
                        return &q->spenders[i];
        return NULL;
}

/* The user's place, made where missing; NULL when there is none to be had. */
static struct spender *find_or_make(struct quota *q, const char *user, int64_t now_ms)
{
        struct spender *found = find(q, user);
        if (found)
                return found;
        if (q->count == q->room)
                forget_idle(q, now_ms);
        if (q->count == q->room && q->room < MAX_SPENDERS) {
                int room = q->room ? q->room * 2 : 16;
                struct spender *spenders = realloc(q->spenders, (size_t)room * sizeof *spenders);
                if (!spenders)
                        return NULL;
                q->spenders = spenders;
                q->room = room;
        }
        if (q->count == q->room)
                return NULL;
        struct spender *s = &q->spenders[q->count++];
        *s = (struct spender){0};
        memcpy(s->user, user, strlen(user) + 1);
        return s;
}

int quota_request(
        struct quota *q, const struct identity *who, int64_t now_ms, int *ret_seconds, struct err *e)
{
        double rate = q->limits.requests_per_second, burst = rate * BURST_SECONDS;
        if (rate <= 0 || who->operator)
                return 0;
        struct spender *s = find_or_make(q, who->user, now_ms);
        int64_t busy_ms = s ? bucket_over(&s->work, work_rate, work_burst, now_ms) : 0;
        if (busy_ms) {
                *ret_seconds = (int)((busy_ms + 999) / 1000);
                return err_set(e, ERR_QUOTA,
                        "your requests take more than half of the server's time: wait %d s", *ret_seconds);
        }
        int64_t wait_ms = s ? bucket_take(&s->bucket, rate, burst < 1 ? 1 : burst, now_ms) : 1000;
        if (wait_ms == 0)
                return 0;
        *ret_seconds = (int)((wait_ms + 999) / 1000);
        return err_set(e, ERR_QUOTA, "more than %.10g requests a second: wait %d s", rate, *ret_seconds);
}

void quota_worked(struct quota *q, const struct identity *who, double seconds, int64_t now_ms)
{
        struct spender *s = who->operator|| q->limits.requests_per_second <= 0 ? NULL : find(q, who->user);
        if (s)
                bucket_spend(&s->work, work_rate, seconds, now_ms);
}

int quota_enter(struct quota *q, const struct identity *who, int64_t now_ms, struct err *e)
{
        if (!q->limits.connections || who->operator)
                return 0;
        struct spender *s = find_or_make(q, who->user, now_ms);
        if (!s || s->connections >= q->limits.connections)
                return err_set(e, ERR_QUOTA,
                        "%lld of your connections are open, and no more may be: close some",
                        (long long)(s ? s->connections : 0));
        s->connections++;
        return 0;
}

void quota_leave(struct quota *q, const struct identity *who)
{
        if (!q->limits.connections || who->operator)
                return;
        struct spender *s = find(q, who->user);
        if (s)
                s->connections--;
}

/* One number about the user. */
static int count(struct quota *q, const char *sql, const char *user, int64_t *ret, struct err *e)
{
        sqlite3_stmt *st;
        int rc = store_prepare(q->store, sql, &st, e);
        if (rc)
                return rc;
        store_bind_text(st, 1, user);
        rc = store_step(q->store, st, e);
        if (rc < 0)
                return rc;
        *ret = sqlite3_column_int64(st, 0);
        sqlite3_reset(st);
        return 0;
}

int quota_job(struct quota *q, const struct identity *who, struct err *e)
{
        int64_t waiting = 0;
        if (!q->limits.queued_jobs || who->operator)
                return 0;
        int rc = count(q, "SELECT count(*) FROM jobs WHERE user = ? AND state IN ('queued', 'paused')",
                who->user, &waiting, e);
        if (rc)
                return rc;
        if (waiting < q->limits.queued_jobs)
                return 0;
        return err_set(e, ERR_QUOTA,
                "%lld of your jobs wait, and %lld may: submit again when some have run, or cancel some",
                (long long)waiting, (long long)q->limits.queued_jobs);
}

/* What is to be stored: one of the names at least is NULL. */
struct parcel {
        const char *model, *dataset;
        int64_t bytes;
        int64_t kept; /* of a job's request, events and result, beside the model */
        bool at_once; /* what stands under the name goes as this comes */
};

/* What the user would store with it, and how many of the models are still to be saved by jobs. A name counts
   once, with the most that it may come to hold. */
static int count_with(struct quota *q, const char *user, const struct parcel *p, int64_t *ret,
        int64_t *ret_jobs, struct err *e)
{
        sqlite3_stmt *st;
        int rc = store_prepare(q->store,
                "WITH saving(name, bytes) AS (SELECT save_as, model_bytes FROM jobs WHERE user = ?1"
                "  AND save_as IS NOT NULL AND state IN ('queued', 'running', 'paused')),"
                " named(name, bytes) AS (SELECT name, bytes FROM models WHERE user = ?1 AND name IS NOT ?2"
                "  UNION ALL SELECT name, bytes FROM saving UNION ALL SELECT ?3, ?4)"
                " SELECT (SELECT coalesce(sum(most), 0) FROM"
                "   (SELECT max(bytes) AS most FROM named WHERE name IS NOT NULL GROUP BY name))"
                "  + (SELECT coalesce(sum(bytes), 0) FROM datasets WHERE user = ?1 AND name IS NOT ?5)"
                "  + (SELECT coalesce(sum(kept_bytes), 0) FROM jobs INDEXED BY jobs_user_kept WHERE user = "
                "?1),"
                " (SELECT count(*) FROM saving)",
                &st, e);
        if (rc)
                return rc;
        store_bind_text(st, 1, user);
        store_bind_text(st, 2, p->at_once ? p->model : NULL);
        store_bind_text(st, 3, p->model);
        store_bind_int(st, 4, p->bytes);
        store_bind_text(st, 5, p->dataset);
        rc = store_step(q->store, st, e);
        if (rc < 0)
                return rc;
        *ret = sqlite3_column_int64(st, 0) + (p->dataset ? p->bytes : 0) + p->kept;
        *ret_jobs = sqlite3_column_int64(st, 1);
        sqlite3_reset(st);
        return 0;
}

static int check_bytes(struct quota *q, const struct identity *who, const struct parcel *p, struct err *e)
{
        char jobs[80] = "";
        int64_t all = 0, saving = 0, limit = q->limits.stored_bytes;
        if (!limit || who->operator)
                return 0;
        if (p->at_once && p->bytes > limit)
                return err_set(e, ERR_TOO_LARGE, "%lld bytes are more than the %lld that a user may store",
                        (long long)p->bytes, (long long)limit);
        int rc = count_with(q, who->user, p, &all, &saving, e);
        if (rc || all <= limit)
                return rc;
        if (saving)
                snprintf(
                        jobs, sizeof jobs, ", with the models that jobs will save (%lld)", (long long)saving);
        if (p->bytes + p->kept == 0)
                return err_set(e, ERR_DISK,
                        "you store %lld bytes of the %lld you may%s: delete models, data sets or ended jobs",
                        (long long)all, (long long)limit, jobs);
        if (p->kept > p->bytes)
                return err_set(e, ERR_DISK,
                        "with the %lld bytes of this job's request, events and result you would store %lld "
                        "of the "
                        "%lld you may%s: a larger report_every makes fewer events, a limit a smaller result; "
                        "or "
                        "delete models, data sets or ended jobs",
                        (long long)p->kept, (long long)all, (long long)limit, jobs);
        return err_set(e, ERR_DISK,
                "with these %lld bytes you would store %lld of the %lld you may%s: delete models, data sets "
                "or ended jobs",
                (long long)(p->bytes + p->kept), (long long)all, (long long)limit, jobs);
}

int quota_model(struct quota *q, const struct identity *who, const char *name, int64_t bytes, struct err *e)
{
        return check_bytes(q, who, &(struct parcel){.model = name, .bytes = bytes, .at_once = true}, e);
}

int quota_save(struct quota *q, const struct identity *who, const char *name, int64_t bytes,
        int64_t kept_bytes, struct err *e)
{
        const struct parcel p = {.model = name[0] ? name : NULL, .bytes = bytes, .kept = kept_bytes};
        return check_bytes(q, who, &p, e);
}

int quota_dataset(struct quota *q, const struct identity *who, const char *name, int64_t bytes, struct err *e)
{
        return check_bytes(q, who, &(struct parcel){.dataset = name, .bytes = bytes, .at_once = true}, e);
}
