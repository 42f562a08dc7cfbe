#include "daemon/jobs/jobtx.h"

#include "base/clock.h"
#include "base/str.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int begin(struct jobtx *tx, struct jobtx_home *home, struct err *e)
{
        *tx = (struct jobtx){.home = home};
        int rc = store_begin(home->store, e);
        tx->open = rc == 0;
        return rc;
}

int jobtx_begin(struct jobtx *tx, struct jobtx_home *home, int64_t id, struct err *e)
{
        int rc = begin(tx, home, e);
        if (rc == 0)
                rc = jobrow_read(home->store, id, &tx->row, e);
        tx->ended = rc == 0 && job_state_final(tx->row.state);
        return rc;
}

int jobtx_begin_new(
        struct jobtx *tx, struct jobtx_home *home, struct job_row *row, const char *key, struct err *e)
{
        int rc = begin(tx, home, e);
        tx->row = *row;
        *row = (struct job_row){0};
        return rc ? rc : jobrow_insert(home->store, &tx->row, key, e);
}

int jobtx_event(struct jobtx *tx, const char *event, const char *data, struct err *e)
{
        sqlite3_stmt *st;
        int rc = store_prepare(
                tx->home->store, "INSERT INTO events(job, id, event, data) VALUES(?, ?, ?, ?)", &st, e);
        if (rc)
                return rc;
        store_bind_int(st, 1, tx->row.id);
        store_bind_int(st, 2, tx->row.events + 1);
        store_bind_text(st, 3, event);
        store_bind_text(st, 4, data);
        rc = store_run(tx->home->store, st, e);
        if (rc)
                return rc;
        tx->row.events++;
        if (!tx->first_event)
                tx->first_event = tx->row.events;
        return 0;
}

static void add_field(struct str *s, const char *key, const char *value)
{
        if (!value || !value[0])
                return;
        str_addf(s, ",\"%s\":", key);
        str_add_json(s, value);
}

static int state_event(struct jobtx *tx, const char *event, const char *reason, struct err *e)
{
        const struct job_row *r = &tx->row;
        struct str s = {0};
        const bool end = strcmp(event, "end") == 0;
        const bool made = end && (r->state == JOB_SUCCEEDED ||
                                         (r->state == JOB_FAILED && r->type == JOB_TRAIN && r->model[0]));
        str_add(&s, "{\"state\":");
        str_add_json(&s, job_state_name(r->state));
        if (r->state == JOB_RUNNING)
                add_field(&s, "device", r->device);
        if (made)
                add_field(&s, "model", r->model);
        if (end && tx->stopped_early) {
                str_add(&s, ",\"stopped_early\":true,\"epoch\":");
                str_add_double(&s, r->epoch);
        }
        if (made && isfinite(r->best_epoch)) {
                str_add(&s, ",\"best_epoch\":");
                str_add_double(&s, r->best_epoch);
        }
        add_field(&s, r->state == JOB_FAILED ? "error" : "reason", reason);
        str_add(&s, "}");
        int rc = s.failed ? err_set(e, ERR_NO_MEMORY, "no memory for an event")
                          : jobtx_event(tx, event, s.data, e);
        str_free(&s);
        return rc;
}

int jobtx_state(struct jobtx *tx, enum job_state to, const char *reason, struct err *e)
{
        struct job_row *r = &tx->row;
        if (!job_state_allows(r->state, to))
                return err_set(e, ERR_STATE, "job %lld is %s and cannot become %s", (long long)r->id,
                        job_state_name(r->state), job_state_name(to));
        int64_t now = clock_wall_ms();
        r->state = to;
        if (to != JOB_RUNNING)
                r->want = WANT_NOTHING;
        if (to == JOB_RUNNING && !r->started_ms)
                r->started_ms = now;
        if (job_state_final(to))
                r->finished_ms = now;
        if (to == JOB_FAILED) {
                free(r->error);
                r->error = reason ? strdup(reason) : NULL;
                if (reason && !r->error)
                        return err_set(e, ERR_NO_MEMORY, "no memory for a job's error");
        }
        int rc = state_event(tx, "state", reason, e);
        if (rc == 0 && job_state_final(to))
                rc = state_event(tx, "end", reason, e);
        return rc;
}

/* What was set aside for events is given back at the end; more of them than were thought of count, too. */
static void count_bytes(struct jobtx *tx)
{
        struct job_row *r = &tx->row;
        int64_t bytes = jobrow_kept_bytes(r, r->events) + tx->result_bytes;
        if ((job_state_final(r->state) && !tx->ended) || bytes > r->kept_bytes)
                r->kept_bytes = bytes;
}

int jobtx_end(struct jobtx *tx, int rc, struct err *e)
{
        struct jobtx_home *home = tx->home;
        int64_t id = tx->row.id, first = tx->first_event, last = tx->row.events;
        if (rc == 0) {
                count_bytes(tx);
                rc = jobrow_update(home->store, &tx->row, e);
        }
        if (rc == 0)
                rc = store_commit(home->store, e);
        if (rc && tx->open)
                store_rollback(home->store);
        tx->open = false;
        job_row_finish(&tx->row);
        if (rc == 0 && first && home->hook)
                home->hook(home->hook_ctx, id, last);
        return rc;
}

int jobtx_replay(
        struct store *s, int64_t job, int64_t after, int limit, jobs_row row, void *ctx, struct err *e)
{
        sqlite3_stmt *st;
        int rc = store_prepare(s,
                "SELECT id, event, data FROM events WHERE job = ?1 AND id > ?2 ORDER BY id LIMIT ?3", &st, e);
        if (rc)
                return rc;
        store_bind_int(st, 1, job);
        store_bind_int(st, 2, after);
        store_bind_int(st, 3, limit > 0 ? limit : -1);
        while ((rc = store_step(s, st, e)) > 0) {
                rc = row(ctx, sqlite3_column_int64(st, 0), store_text(st, 1), store_text(st, 2));
                if (rc)
                        break;
        }
        return store_done(s, st, rc, e);
}
