#include "daemon/jobs/sched.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "daemon/jobs/jobline.h"
#include "daemon/jobs/jobrun.h"
#include "daemon/common/wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Train points wait this long for others to share their commit, and longer on a slow disk: all jobs' commits
   are to leave BATCH_SPARE times as long to everything else. What is more than a train point does not wait.
 */
enum { BATCH_MS = 20, BATCH_MOST_MS = 500, BATCH_SPARE = 4 };
enum { AGAIN_MS = 20, RETRY_MS = 1000, LOOK_MS = 1000, FULL_MS = 5000 };
/* How long it is tried to put a model in its place, and how often it is told that what is tried fails. */
enum { PLACE_MS = 60000, SAY_MS = 60000 };

/* A job on a device. */
struct run {
        int64_t job;                 /* 0: free */
        struct report *first, *last; /* owned; not yet committed */
        struct report *spare;        /* owned; for an end that finds no memory */
        bool urgent;                 /* some of them tell more than a train point */
        bool ended;                  /* the last of them ends the run */
        bool goes_on;                /* though its worker has not ended it */
        enum job_want told;          /* what the worker was told */
        enum job_type type;
        int priority;
        char user[JOBS_USER_MAX + 1];
        int64_t slice_ms;    /* it does not yield before */
        bool yields;         /* it was told to stop for another job */
        int64_t sync;        /* a mark that waits for the commit of all before it; 0: none */
        int64_t due_ms;      /* when they are to be committed */
        int64_t unplaced_ms; /* since when its model finds no place, for another reason than a full disk; 0:
                                it did */
        int64_t said_ms;     /* when it was last told that they cannot be committed; 0: they could */
        bool nothing;        /* the device is free, and no job waited for it when it was last asked */
        uint64_t room;       /* of the device, then */
};

struct sched {
        struct jobs *jobs;
        struct supervisor *supervisor;
        double checkpoint_seconds, slice_seconds;
        int64_t place_ms;
        int64_t batch_ms; /* BATCH_MS to BATCH_MOST_MS */
        bool draining;
        bool again;        /* a worker could not be told something: soon once more */
        int64_t looked_ms; /* when it was last asked whether a job should yield */
        int64_t retry_ms;  /* no job is started before: the database failed, or what a job needs */
        int64_t said_ms;   /* as a run's, of starting jobs */
        int64_t held_ms;   /* when it is asked again whether jobs that lacked something may start; 0: never */
        struct run runs[SUPERVISOR_MAX_DEVICES];
};

struct sched *sched_create(
        struct jobs *js, struct supervisor *sv, double checkpoint_seconds, double slice_seconds)
{
        const char *place_ms = getenv("CNND_TEST_PLACE_MS");
        struct sched *sc = calloc(1, sizeof *sc);
        if (!sc)
                return NULL;
        sc->batch_ms = BATCH_MS;
        sc->place_ms = place_ms ? strtoll(place_ms, NULL, 10) : PLACE_MS;
        sc->jobs = js;
        sc->supervisor = sv;
        sc->checkpoint_seconds = checkpoint_seconds;
        sc->slice_seconds = slice_seconds;
        return sc;
}

static void drop_reports(struct run *r)
{
        while (r->first) {
                struct report *rep = r->first;
                r->first = rep->next;
                report_free(rep);
        }
        r->last = NULL;
        r->urgent = r->sync != 0;
}

void sched_destroy(struct sched *sc)
{
        if (!sc)
                return;
        for (int i = 0; i < SUPERVISOR_MAX_DEVICES; i++) {
                drop_reports(&sc->runs[i]);
                report_free(sc->runs[i].spare);
        }
        free(sc);
}

/* Takes `rep`. */
static void push(struct run *r, struct report *rep)
{
        bool train = rep->kind == REPORT_EVENT && strcmp(rep->event, "train") == 0;
        rep->next = NULL;
        if (r->last)
                r->last->next = rep;
        else
                r->first = rep;
        r->last = rep;
        r->urgent = r->urgent || !train;
        r->ended = rep->kind != REPORT_EVENT;
}

static enum train_end end_of(const char *name)
{
        return strcmp(name, "done") == 0       ? TRAIN_DONE
               : strcmp(name, "diverged") == 0 ? TRAIN_DIVERGED
               : strcmp(name, "stopped") == 0  ? TRAIN_STOPPED
                                               : TRAIN_CANCELLED;
}

/* ERR_SYNTAX for what is no report. */
static int read_report(const cJSON *head, struct report *rep)
{
        const char *op = wire_text(head, "op");
        const cJSON *epoch = json_field(head, "epoch"), *best = json_field(head, "best");
        if (strcmp(op, "event") == 0) {
                rep->kind = REPORT_EVENT;
                snprintf(rep->event, sizeof rep->event, "%s", wire_text(head, "event"));
                rep->data = strdup(wire_text(head, "data"));
                return rep->data ? 0 : ERR_NO_MEMORY;
        }
        if (strcmp(op, "job_failed") == 0) {
                rep->kind = REPORT_FAILED;
                (void)wire_error_read(json_field(head, "error"), &rep->error);
                return 0;
        }
        if (strcmp(op, "done") != 0)
                return ERR_SYNTAX;
        rep->kind = REPORT_DONE;
        rep->end = end_of(wire_text(head, "end"));
        if (rep->end == TRAIN_DIVERGED)
                (void)wire_error_read(json_field(head, "error"), &rep->error);
        rep->step = wire_int(head, "step");
        rep->device_bytes = wire_int(head, "device_bytes");
        rep->stopped_early = cJSON_IsTrue(json_field(head, "stopped_early"));
        rep->epoch = cJSON_IsNumber(epoch) ? epoch->valuedouble : 0;
        rep->best = best ? cJSON_Duplicate(best, true) : NULL;
        return best && !rep->best ? ERR_NO_MEMORY : 0;
}

/* Ends the run by its spare report; `why` is lost where memory is out. */
static void end_run(struct run *r, const struct report *how, const char *why)
{
        struct report *rep = r->spare;
        r->spare = NULL;
        *rep = *how;
        rep->data = strdup(why);
        push(r, rep);
}

int sched_message(struct sched *sc, int device, struct chan_message *m)
{
        struct run *r = &sc->runs[device];
        if (!r->job || r->ended || wire_int(m->head, "job") != r->job)
                return 0;
        if (strcmp(wire_text(m->head, "op"), "sync") == 0) {
                r->sync = wire_int(m->head, "mark");
                r->urgent = true;
                return 0;
        }
        struct report *rep = calloc(1, sizeof *rep);
        int rc = rep ? read_report(m->head, rep) : ERR_NO_MEMORY;
        if (rc == 0 && r->yields && rep->kind == REPORT_DONE)
                rc = (rep->data = strdup("another job's turn")) ? 0 : ERR_NO_MEMORY;
        if (rc == 0)
                push(r, rep);
        else
                report_free(rep);
        return rc == ERR_NO_MEMORY ? rc : 0;
}

void sched_lost(struct sched *sc, int device, const char *why, bool unread)
{
        struct run *r = &sc->runs[device];
        if (r->job && !r->ended)
                end_run(r, &(struct report){.kind = REPORT_LOST, .unread = unread}, why);
}

/* An event that cannot be applied would hold up all behind it for ever: the job fails with the reason
 * instead. */
static void replace_by_failure(struct run *r, const struct err *why)
{
        struct report *rep = r->first;
        r->goes_on = r->goes_on || !r->ended;
        while (rep->next) {
                struct report *next = rep->next;
                report_free(rep);
                rep = next;
        }
        cJSON_Delete(rep->best);
        free(rep->data);
        *rep = (struct report){.kind = REPORT_FAILED, .error = *why, .final = true};
        r->first = r->last = rep;
        r->urgent = r->ended = true;
}

/* What may be over by the next try. */
static bool passing(int code)
{
        return code == ERR_DISK || code == ERR_IO || code == ERR_NO_MEMORY || code == ERR_UNAVAILABLE;
}

/* A full disk is waited for; whatever else keeps a model from its place must not keep the device from others
   for ever. */
static bool gives_up(const struct sched *sc, struct run *r, const struct err *why, int64_t now_ms)
{
        if (why->code == ERR_DISK)
                r->unplaced_ms = 0;
        else if (!r->unplaced_ms)
                r->unplaced_ms = now_ms;
        return r->unplaced_ms && now_ms - r->unplaced_ms >= sc->place_ms;
}

static bool worth_saying(int64_t *said_ms, int64_t now_ms)
{
        if (*said_ms && now_ms - *said_ms < SAY_MS)
                return false;
        *said_ms = now_ms;
        return true;
}

static void try_again(const struct sched *sc, struct run *r, struct err *why, bool unplaced, int64_t now_ms)
{
        r->due_ms = now_ms + RETRY_MS;
        if (unplaced && r->last->end == TRAIN_DIVERGED)
                err_wrap(why, "%.300s; and that model could not be stored", r->last->error.message);
        else if (unplaced)
                err_wrap(why, "the run ended, but its model could not be stored");
        if (worth_saying(&r->said_ms, now_ms))
                log_line(LOG_ERROR, "job %lld: %s", (long long)r->job, why->message);
        if (unplaced ? gives_up(sc, r, why, now_ms) : !passing(why->code))
                replace_by_failure(r, why);
        else if (!unplaced)
                r->unplaced_ms = 0;
}

/* After a commit that took so long. */
static void set_pace(struct sched *sc, int64_t took_ms)
{
        int64_t jobs = 0;
        for (int i = 0; i < SUPERVISOR_MAX_DEVICES; i++)
                jobs += sc->runs[i].job != 0;
        const int64_t ms = took_ms * BATCH_SPARE * jobs;
        sc->batch_ms = ms < BATCH_MS ? BATCH_MS : ms < BATCH_MOST_MS ? ms : BATCH_MOST_MS;
}

static void commit_reports(struct sched *sc, int device, int64_t now_ms)
{
        struct run *r = &sc->runs[device];
        struct jobrun_outcome out;
        struct err e;
        const int64_t begun_ms = clock_now_ms();
        int rc = jobrun_apply(sc->jobs, r->job, device, r->first, &out, &e);
        const int64_t end_ms = clock_now_ms();
        set_pace(sc, end_ms - begun_ms);
        if (rc) {
                if (out.under_way)
                        r->due_ms = now_ms + AGAIN_MS;
                else
                        try_again(sc, r, &e, out.unplaced, now_ms);
                return;
        }
        if (r->last->kind == REPORT_FAILED && passing(r->last->error.code))
                sc->retry_ms = now_ms + FULL_MS;
        drop_reports(r);
        r->said_ms = 0;
        r->due_ms = end_ms + sc->batch_ms;
        if (out.moved || (r->ended && supervisor_job(sc->supervisor, device) == r->job))
                supervisor_progress(sc->supervisor, device);
        if (r->ended) {
                supervisor_set_job(sc->supervisor, device, 0);
                if (r->goes_on)
                        supervisor_end_worker(sc->supervisor, device,
                                "it told of its job what cannot be, and would go on with it");
                report_free(r->spare);
                *r = (struct run){0};
        }
}

/* False when memory was short: it is to be tried again. */
static bool tell(struct sched *sc, int device, const char *op, const char *key, int64_t value)
{
        struct err e;
        cJSON *head = cJSON_CreateObject();
        cJSON_AddStringToObject(head, "op", op);
        cJSON_AddNumberToObject(head, key, (double)value);
        int rc = supervisor_send(sc->supervisor, device, head, NULL, 0, &e);
        if (rc)
                log_line(LOG_WARN, "job %lld: %s", (long long)sc->runs[device].job, e.message);
        cJSON_Delete(head);
        sc->again = sc->again || rc == ERR_NO_MEMORY;
        return rc != ERR_NO_MEMORY;
}

/* Passes its user's wish on to the worker. */
static void pass_wish(struct sched *sc, int device)
{
        struct run *r = &sc->runs[device];
        enum job_want want = WANT_NOTHING;
        struct err e;
        if (!r->job || r->ended)
                return;
        if (jobrun_want(sc->jobs, r->job, &want, &e)) {
                sc->again = true;
                return;
        }
        if (want == WANT_NOTHING && sc->draining)
                want = WANT_PAUSE;
        if (want == r->told || want == WANT_NOTHING)
                return;
        if (tell(sc, device, want == WANT_CANCEL ? "cancel" : "stop", "job", r->job))
                r->told = want;
}

static void start_job(struct sched *sc, int device, int64_t now_ms)
{
        const struct dev_info *info = supervisor_info(sc->supervisor, device);
        struct jobline_pick next = {0};
        struct jobrun_started start = {0};
        struct err e;
        struct report *spare = NULL;
        const uint64_t room = supervisor_room(sc->supervisor, device);
        int rc = jobline_next(sc->jobs, info, room, &next, &e);
        if (rc == 0 && next.id && !(spare = calloc(1, sizeof *spare)))
                rc = err_set(&e, ERR_NO_MEMORY, "no memory for a report");
        if (rc == 0 && next.id)
                rc = jobrun_start(sc->jobs, next.id, device, sc->checkpoint_seconds, &start, &e);
        if (rc) {
                if (worth_saying(&sc->said_ms, now_ms))
                        log_line(LOG_ERROR, "starting a job on device %s: %s", info->id, e.message);
                sc->retry_ms = now_ms + RETRY_MS;
        }
        if (rc || !next.id) {
                sc->runs[device].nothing = rc == 0;
                sc->runs[device].room = room;
                if (rc == 0 && next.held)
                        sc->held_ms = now_ms + RETRY_MS;
                free(spare);
                return;
        }
        sc->said_ms = 0;
        log_line(LOG_INFO, "job %lld of %s runs on device %s", (long long)next.id, start.user, info->id);
        struct run *r = &sc->runs[device];
        *r = (struct run){.job = next.id,
                .spare = spare,
                .type = start.type,
                .priority = start.priority,
                .slice_ms = now_ms + (int64_t)(sc->slice_seconds * 1000)};
        memcpy(r->user, start.user, sizeof r->user);
        supervisor_set_job(sc->supervisor, device, next.id);
        e = start.refused;
        rc = start.command ? supervisor_send(sc->supervisor, device, start.command, NULL, 0, &e) : e.code;
        if (rc == ERR_NO_MEMORY) /* the job is put back */
                end_run(r, &(struct report){.kind = REPORT_DONE, .end = TRAIN_STOPPED}, e.message);
        else if (rc)
                end_run(r, &(struct report){.kind = REPORT_FAILED, .error = e}, e.message);
        cJSON_Delete(start.command);
}

static bool may_yield(const struct run *r)
{
        /* An evaluation keeps no checkpoint, so it runs to its end. */
        return r->job && !r->ended && r->told == WANT_NOTHING && r->type == JOB_TRAIN;
}

/* Whether what waits goes before what runs; *ret_share is then the share of whose job runs. */
static bool should_yield(struct sched *sc, int device, int64_t now_ms, double *ret_share)
{
        const struct run *r = &sc->runs[device];
        struct jobline_pick next = {0};
        struct err e;
        if (!may_yield(r) || now_ms < r->slice_ms)
                return false;
        if (jobline_next(sc->jobs, supervisor_info(sc->supervisor, device),
                    supervisor_room(sc->supervisor, device), &next, &e) ||
                !next.id)
                return false;
        *ret_share = jobrun_share(sc->jobs, r->user);
        if (next.priority != r->priority)
                return next.priority > r->priority;
        return strcmp(next.user, r->user) != 0 && next.seconds < *ret_share;
}

/* Of the jobs that should yield, the one whose user has had most does. */
static void yield_one(struct sched *sc, int count, int64_t now_ms)
{
        int chosen = -1;
        double most = 0, share = 0;
        sc->looked_ms = now_ms;
        for (int i = 0; i < count; i++)
                if (sc->runs[i].yields)
                        return;
        for (int i = 0; i < count; i++)
                if (should_yield(sc, i, now_ms, &share) && (chosen < 0 || share > most)) {
                        chosen = i;
                        most = share;
                }
        if (chosen < 0)
                return;
        struct run *r = &sc->runs[chosen];
        log_line(LOG_INFO, "job %lld yields", (long long)r->job);
        r->yields = tell(sc, chosen, "stop", "job", r->job);
        if (r->yields)
                r->told = WANT_PAUSE;
}

static void commit_waiting(struct sched *sc, int device, int64_t now_ms)
{
        struct run *r = &sc->runs[device];
        if (r->first && (now_ms >= r->due_ms || (r->urgent && !r->said_ms)))
                commit_reports(sc, device, now_ms);
        if (r->sync && !r->first && tell(sc, device, "synced", "mark", r->sync)) {
                r->sync = 0;
                r->urgent = false;
        }
}

/* When a job may next have to yield: at the end of its slice, and from then on at intervals, as shares move.
   INT64_MAX for never. */
static int64_t yield_due(const struct sched *sc)
{
        int64_t due = INT64_MAX;
        for (int i = 0; i < SUPERVISOR_MAX_DEVICES && !sc->draining; i++) {
                int64_t slice = sc->runs[i].slice_ms,
                        at = slice > sc->looked_ms ? slice : sc->looked_ms + LOOK_MS;
                if (may_yield(&sc->runs[i]) && at < due)
                        due = at;
        }
        return due;
}

void sched_tick(struct sched *sc, int64_t now_ms)
{
        int count = supervisor_count(sc->supervisor);
        bool changed = jobrun_changed(sc->jobs) || sc->again || (sc->held_ms && now_ms >= sc->held_ms);
        sc->again = false;
        if (changed)
                sc->held_ms = 0;
        for (int i = 0; i < count; i++)
                commit_waiting(sc, i, now_ms);
        changed = jobrun_changed(sc->jobs) || changed;
        for (int i = 0; i < count && changed; i++)
                sc->runs[i].nothing = false;
        if (changed || sc->draining)
                for (int i = 0; i < count; i++)
                        pass_wish(sc, i);
        if (sc->draining || now_ms < sc->retry_ms)
                return;
        for (int i = 0; i < count; i++)
                if (!sc->runs[i].job &&
                        (!sc->runs[i].nothing || supervisor_room(sc->supervisor, i) > sc->runs[i].room) &&
                        supervisor_state(sc->supervisor, i) == DEVICE_READY &&
                        !supervisor_yields(sc->supervisor, i))
                        start_job(sc, i, now_ms);
        if (changed || now_ms >= yield_due(sc))
                yield_one(sc, count, now_ms);
}

int sched_timeout_ms(const struct sched *sc, int64_t now_ms)
{
        if (jobrun_waiting(sc->jobs))
                return 0;
        int64_t due = sc->retry_ms > now_ms ? sc->retry_ms : yield_due(sc);
        if (sc->held_ms && sc->held_ms < due)
                due = sc->held_ms;
        for (int i = 0; i < SUPERVISOR_MAX_DEVICES; i++)
                if (sc->runs[i].first && sc->runs[i].due_ms < due)
                        due = sc->runs[i].due_ms;
        if (sc->again && due > now_ms + AGAIN_MS)
                due = now_ms + AGAIN_MS;
        if (due == INT64_MAX)
                return -1;
        return due > now_ms ? (int)(due - now_ms) : 0;
}

void sched_drain(struct sched *sc)
{
        sc->draining = true;
        int count = supervisor_count(sc->supervisor);
        for (int i = 0; i < count; i++)
                pass_wish(sc, i);
}

bool sched_idle(const struct sched *sc)
{
        for (int i = 0; i < SUPERVISOR_MAX_DEVICES; i++)
                if (sc->runs[i].job)
                        return false;
        return true;
}
