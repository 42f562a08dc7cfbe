#include "daemon/sched.h"

#include "base/json.h"
#include "base/log.h"
#include "daemon/jobrun.h"
#include "daemon/wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Train points wait this long for others to share their commit; everything else does not wait. */
enum { BATCH_MS = 20, RETRY_MS = 1000 };

/* A job on a device. */
struct run {
        int64_t job;                 /* 0: free */
        struct report *first, *last; /* owned; not yet committed */
        bool urgent;                 /* some of them tell more than a train point */
        bool ended;                  /* the last of them ends the run */
        enum job_want told;          /* what the worker was told */
        int64_t sync;                /* a mark that waits for the commit of all before it; 0: none */
        int64_t due_ms;              /* when they are to be committed */
};

struct sched {
        struct jobs *jobs;
        struct supervisor *supervisor;
        double checkpoint_seconds;
        bool draining;
        int64_t retry_ms; /* no job is started before: the database failed */
        struct run runs[SUPERVISOR_MAX_DEVICES];
};

struct sched *sched_create(struct jobs *js, struct supervisor *sv, double checkpoint_seconds)
{
        struct sched *sc = calloc(1, sizeof *sc);
        if (!sc)
                return NULL;
        sc->jobs = js;
        sc->supervisor = sv;
        sc->checkpoint_seconds = checkpoint_seconds;
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
        for (int i = 0; i < SUPERVISOR_MAX_DEVICES; i++)
                drop_reports(&sc->runs[i]);
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

static const char *text_of(const cJSON *head, const char *key)
{
        const cJSON *v = json_field(head, key);
        return cJSON_IsString(v) ? v->valuestring : "";
}

static int64_t int_of(const cJSON *head, const char *key)
{
        const cJSON *v = json_field(head, key);
        return cJSON_IsNumber(v) ? (int64_t)v->valuedouble : 0;
}

static bool read_report(const cJSON *head, struct report *rep)
{
        const char *op = text_of(head, "op"), *end = text_of(head, "end");
        if (strcmp(op, "event") == 0) {
                rep->kind = REPORT_EVENT;
                snprintf(rep->event, sizeof rep->event, "%s", text_of(head, "event"));
                rep->data = strdup(text_of(head, "data"));
                return rep->data != NULL;
        }
        if (strcmp(op, "job_failed") == 0) {
                rep->kind = REPORT_FAILED;
                (void)wire_error_read(json_field(head, "error"), &rep->error);
                return true;
        }
        if (strcmp(op, "done") != 0)
                return false;
        rep->kind = REPORT_DONE;
        rep->end = strcmp(end, "done") == 0 ? TRAIN_DONE : end[0] == 's' ? TRAIN_STOPPED : TRAIN_CANCELLED;
        rep->step = int_of(head, "step");
        rep->device_bytes = int_of(head, "device_bytes");
        rep->stopped_early = cJSON_IsTrue(json_field(head, "stopped_early"));
        rep->epoch = rep->stopped_early ? json_field(head, "epoch")->valuedouble : 0;
        return true;
}

void sched_message(struct sched *sc, int device, struct chan_message *m)
{
        struct run *r = &sc->runs[device];
        if (!r->job || r->ended || int_of(m->head, "job") != r->job)
                return;
        if (strcmp(text_of(m->head, "op"), "sync") == 0) {
                r->sync = int_of(m->head, "mark");
                r->urgent = true;
                return;
        }
        struct report *rep = calloc(1, sizeof *rep);
        if (rep && read_report(m->head, rep))
                push(r, rep);
        else
                report_free(rep);
}

void sched_lost(struct sched *sc, int device, const char *why, bool quarantined)
{
        struct run *r = &sc->runs[device];
        (void)quarantined;
        if (!r->job || r->ended)
                return;
        struct report *rep = calloc(1, sizeof *rep);
        if (rep)
                rep->data = strdup(why);
        if (!rep || !rep->data) {
                /* The run stays open until there is memory: the job is put back at the next start at the
                 * latest. */
                log_line(LOG_ERROR, "no memory to note the loss of job %lld", (long long)r->job);
                report_free(rep);
                return;
        }
        rep->kind = REPORT_LOST;
        push(r, rep);
}

/* An event that cannot be applied would hold up all behind it for ever: the job fails with the reason
 * instead. */
static void replace_by_failure(struct run *r, const struct err *why)
{
        struct report *rep = r->first;
        while (rep->next) {
                struct report *next = rep->next;
                report_free(rep);
                rep = next;
        }
        free(rep->data);
        *rep = (struct report){.kind = REPORT_FAILED, .error = *why};
        r->first = r->last = rep;
        r->urgent = r->ended = true;
}

static bool passing(int code)
{
        return code == ERR_DISK || code == ERR_IO || code == ERR_NO_MEMORY;
}

static void commit_reports(struct sched *sc, int device, int64_t now_ms)
{
        struct run *r = &sc->runs[device];
        struct err e;
        bool moved = false;
        int rc = jobrun_apply(sc->jobs, r->job, r->first, &moved, &e);
        if (rc) {
                log_line(LOG_ERROR, "job %lld: %s", (long long)r->job, e.message);
                r->due_ms = now_ms + RETRY_MS;
                if (!passing(rc))
                        replace_by_failure(r, &e);
                return;
        }
        drop_reports(r);
        r->due_ms = now_ms + BATCH_MS;
        if (moved || (r->ended && supervisor_job(sc->supervisor, device) == r->job))
                supervisor_progress(sc->supervisor, device);
        if (r->ended) {
                supervisor_set_job(sc->supervisor, device, 0);
                *r = (struct run){0};
        }
}

static void tell(struct sched *sc, int device, const char *op, const char *key, int64_t value)
{
        struct err e;
        cJSON *head = cJSON_CreateObject();
        if (!head)
                return;
        cJSON_AddStringToObject(head, "op", op);
        cJSON_AddNumberToObject(head, key, (double)value);
        if (supervisor_send(sc->supervisor, device, head, NULL, 0, &e))
                log_line(LOG_WARN, "job %lld: %s", (long long)sc->runs[device].job, e.message);
        cJSON_Delete(head);
}

/* Passes its user's wish on to the worker. */
static void pass_wish(struct sched *sc, int device)
{
        struct run *r = &sc->runs[device];
        enum job_want want = WANT_NOTHING;
        struct err e;
        if (!r->job || r->ended || jobrun_want(sc->jobs, r->job, &want, &e))
                return;
        if (want == WANT_NOTHING && sc->draining)
                want = WANT_PAUSE;
        if (want == r->told || want == WANT_NOTHING)
                return;
        r->told = want;
        tell(sc, device, want == WANT_CANCEL ? "cancel" : "stop", "job", r->job);
}

static void start_job(struct sched *sc, int device, int64_t now_ms)
{
        const struct dev_info *info = supervisor_info(sc->supervisor, device);
        cJSON *head = NULL;
        struct err e;
        int64_t job = 0;
        int rc = jobrun_next(sc->jobs, info, &job, &e);
        if (rc == 0 && job)
                rc = jobrun_start(sc->jobs, job, info->id, sc->checkpoint_seconds, &head, &e);
        if (rc) {
                log_line(LOG_ERROR, "starting a job on device %s: %s", info->id, e.message);
                sc->retry_ms = now_ms + RETRY_MS;
        }
        if (rc || !job)
                return;
        log_line(LOG_INFO, "job %lld runs on device %s", (long long)job, info->id);
        sc->runs[device] = (struct run){.job = job};
        supervisor_set_job(sc->supervisor, device, job);
        if (supervisor_send(sc->supervisor, device, head, NULL, 0, &e)) {
                struct report *rep = calloc(1, sizeof *rep);
                if (rep) {
                        *rep = (struct report){.kind = REPORT_FAILED, .error = e};
                        push(&sc->runs[device], rep);
                }
        }
        cJSON_Delete(head);
}

void sched_tick(struct sched *sc, int64_t now_ms)
{
        int count = supervisor_count(sc->supervisor);
        for (int i = 0; i < count; i++) {
                struct run *r = &sc->runs[i];
                if (r->first && (now_ms >= r->due_ms || (r->urgent && r->due_ms - now_ms <= BATCH_MS)))
                        commit_reports(sc, i, now_ms);
                if (r->sync && !r->first) {
                        tell(sc, i, "synced", "mark", r->sync);
                        r->sync = 0;
                        r->urgent = false;
                }
        }
        if (jobrun_changed(sc->jobs) || sc->draining)
                for (int i = 0; i < count; i++)
                        pass_wish(sc, i);
        for (int i = 0; i < count && !sc->draining && now_ms >= sc->retry_ms; i++)
                if (!sc->runs[i].job && supervisor_state(sc->supervisor, i) == DEVICE_READY)
                        start_job(sc, i, now_ms);
}

int sched_timeout_ms(const struct sched *sc, int64_t now_ms)
{
        if (jobrun_waiting(sc->jobs))
                return 0;
        int64_t due = sc->retry_ms > now_ms ? sc->retry_ms : INT64_MAX;
        for (int i = 0; i < SUPERVISOR_MAX_DEVICES; i++)
                if (sc->runs[i].first && sc->runs[i].due_ms < due)
                        due = sc->runs[i].due_ms;
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
