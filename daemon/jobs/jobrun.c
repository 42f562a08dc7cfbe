#include "daemon/jobs/jobrun.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "daemon/jobs/jobcommand.h"
#include "daemon/jobs/jobcore.h"
#include "daemon/jobs/jobfolder.h"
#include "daemon/jobs/jobstrategies.h"
#include "daemon/jobs/jobtx.h"
#include "daemon/jobs/shares.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* A killed front forgets at most so many seconds of a device. */
#define STORE_SECONDS 5.0

void report_free(struct report *r)
{
        if (!r)
                return;
        cJSON_Delete(r->best);
        free(r->data);
        free(r);
}

bool jobrun_waiting(const struct jobs *js)
{
        return js->changed;
}

bool jobrun_changed(struct jobs *js)
{
        bool changed = js->changed;
        js->changed = false;
        return changed;
}

int jobrun_want(struct jobs *js, int64_t id, enum job_want *ret, struct err *e)
{
        return jobrow_want(js->home.store, id, ret, e);
}

/* The wall clock as it was at the start, going on steadily: one that is set ages no share. */
static int64_t fading_ms(const struct jobs *js)
{
        return js->wall_ahead_ms + clock_now_ms();
}

double jobrun_share(const struct jobs *js, const char *user)
{
        return shares_of(js->shares, user, clock_now_ms(), fading_ms(js));
}

/* Images of a step; 0 for a job that does not train. */
static int64_t batch_size(const struct job_row *r)
{
        int64_t size = REQUEST_BATCH_DEFAULT;
        cJSON *request =
                r->type == JOB_TRAIN && r->request ? json_parse(r->request, strlen(r->request), NULL) : NULL;
        int rc = request ? json_get_int(request, "batch_size", 1, INT32_MAX, "", &size, NULL) : -1;
        cJSON_Delete(request);
        return rc ? 0 : size;
}

int jobrun_start(struct jobs *js, int64_t id, int device, double checkpoint_seconds,
        struct jobrun_started *ret, struct err *e)
{
        struct jobtx tx;
        struct jobrun_started start = {0};
        int64_t batch = 0;
        int rc = jobtx_begin(&tx, &js->home, id, e);
        if (rc == 0) {
                struct job_row *r = &tx.row;
                batch = batch_size(r);
                snprintf(r->device, sizeof r->device, "%s", supervisor_info(js->supervisor, device)->id);
                start.type = r->type;
                start.priority = r->priority;
                start.wait_seconds = r->started_ms ? -1 : (double)(clock_wall_ms() - r->created_ms) / 1000;
                memcpy(start.user, r->user, sizeof start.user);
                rc = jobfolder_need(js, id, e);
                if (rc == 0)
                        rc = jobcommand_make(js, r, checkpoint_seconds, &start.command, &start.refused, e);
                if (rc == 0)
                        rc = jobtx_state(&tx, JOB_RUNNING, NULL, e);
        }
        rc = jobtx_end(&tx, rc, e);
        if (rc) {
                cJSON_Delete(start.command);
                return rc;
        }
        js->batch[device] = batch;
        shares_begin(js->shares, device, start.user, clock_now_ms());
        if (start.wait_seconds >= 0)
                histogram_add(&js->stats.waits, histogram_slow, start.wait_seconds);
        *ret = start;
        return 0;
}

static double number(const cJSON *o, const char *key)
{
        const cJSON *v = json_field(o, key);
        return cJSON_IsNumber(v) ? v->valuedouble : NAN;
}

static void take_train(struct job_row *r, const cJSON *data)
{
        r->images_per_second = number(data, "images_per_second");
        if (r->validation_step)
                return;
        r->train_loss = number(data, "epoch_loss");
        r->train_acc = number(data, "epoch_acc");
}

static void take_validation(struct job_row *r, const cJSON *data)
{
        r->train_loss = number(data, "train_loss");
        r->train_acc = number(data, "train_acc");
        r->val_loss = number(data, "loss");
        r->val_acc = number(data, "acc");
        r->best_epoch = number(data, "best_epoch");
}

/* Where the step of the last event of this kind stands; NULL for kinds without steps. */
static int64_t *last_step(struct job_row *r, const char *event)
{
        if (strcmp(event, "train") == 0)
                return &r->train_step;
        if (strcmp(event, "validation") == 0)
                return &r->validation_step;
        return strcmp(event, "checkpoint") == 0 ? &r->checkpoint_step : NULL;
}

/* Among `notes`, of a line or some each. */
static bool has_note(const char *notes, const char *text)
{
        const size_t len = strlen(text);
        for (const char *at = notes; at && (at = strstr(at, text)) != NULL; at++)
                if ((at == notes || at[-1] == '\n') && (at[len] == '\n' || !at[len]))
                        return true;
        return false;
}

/* Kept once, among the job's notes too. */
static int apply_note(struct jobtx *tx, const struct report *rep, const cJSON *data, struct err *e)
{
        struct job_row *r = &tx->row;
        const cJSON *text = json_field(data, "text");
        char *notes = NULL;
        if (!cJSON_IsString(text) || !text->valuestring[0])
                return err_set(e, ERR_SYNTAX, "a note without text");
        if (has_note(r->note, text->valuestring))
                return 0;
        if (asprintf(&notes, "%s%s%s", r->note ? r->note : "", r->note ? "\n" : "", text->valuestring) < 0)
                return err_set(e, ERR_NO_MEMORY, "no memory for a note");
        free(r->note);
        r->note = notes;
        log_line(LOG_WARN, "job %lld: %s", (long long)r->id, text->valuestring);
        return jobtx_event(tx, rep->event, rep->data, e);
}

/* What a worker says is part of what streams are made of: an event that is known, an object in one line, a
 * step that there is. */
static int read_event(
        struct job_row *r, const struct report *rep, cJSON **ret, int64_t *ret_step, struct err *e)
{
        const bool steps = last_step(r, rep->event) != NULL;
        int64_t step = 0;
        cJSON *data = NULL;
        int rc = steps || strcmp(rep->event, "note") == 0 || strcmp(rep->event, "strategies") == 0
                         ? 0
                         : err_set(e, ERR_INTERNAL, "a worker told of an event that is not known");
        if (rc == 0 && strpbrk(rep->data, "\r\n"))
                rc = err_set(e, ERR_INTERNAL, "event %s has more than one line", rep->event);
        if (rc == 0 && !(data = json_parse(rep->data, strlen(rep->data), e)))
                return err_wrap(e, "event %s", rep->event);
        if (rc == 0)
                rc = json_is_object(data, "", e);
        if (rc == 0 && steps)
                rc = json_need(data, "step", "", e);
        if (rc == 0 && steps)
                rc = json_get_int(data, "step", 0, r->steps, "", &step, e);
        if (rc) {
                cJSON_Delete(data);
                return err_wrap(e, "event %s", rep->event);
        }
        *ret = data;
        *ret_step = step;
        return 0;
}

static int apply_event(struct jobtx *tx, const struct report *rep, bool *moved, struct err *e)
{
        struct job_row *r = &tx->row;
        cJSON *data = NULL;
        int64_t step = 0, *last = last_step(r, rep->event);
        int rc = read_event(r, rep, &data, &step, e);
        if (rc)
                return rc;
        double epoch = number(data, "epoch");
        if (last && step <= *last) {
                cJSON_Delete(data);
                return 0;
        }
        if (last == &r->train_step)
                take_train(r, data);
        if (last == &r->validation_step)
                take_validation(r, data);
        if (last)
                *last = step;
        if (last && step > r->step) {
                r->step = step;
                r->failures = 0;
                *moved = true;
        }
        if (isfinite(epoch))
                r->epoch = epoch;
        if (strcmp(rep->event, "strategies") == 0)
                rc = jobstrategies_write(tx->home->store, r->id, data, e);
        else if (strcmp(rep->event, "note") == 0)
                rc = apply_note(tx, rep, data, e);
        else
                rc = jobtx_event(tx, rep->event, rep->data, e);
        cJSON_Delete(data);
        return rc;
}

/* The run ended without an end of the job: what its user wished for decides. */
static int apply_stopped(struct jobtx *tx, const char *reason, struct err *e)
{
        switch (tx->row.want) {
        case WANT_CANCEL:
                return jobtx_state(tx, JOB_CANCELLED, NULL, e);
        case WANT_PAUSE:
                return jobtx_state(tx, JOB_PAUSED, NULL, e);
        case WANT_NOTHING:
                break;
        }
        return jobtx_state(tx, JOB_QUEUED, reason, e);
}

/* A step that there is, if it lies further on. */
static void move_to(struct job_row *r, int64_t step)
{
        if (step > r->step && step <= r->steps)
                r->step = step;
}

/* 0 where it cannot be told. */
static int64_t result_bytes(const struct jobs *js, int64_t id)
{
        struct stat st;
        char *path = jobfolder_path(js, id, "/result.json");
        int64_t bytes = path && stat(path, &st) == 0 ? st.st_size : 0;
        free(path);
        return bytes;
}

/* With the metrics of the epoch that was saved. */
static int apply_model(struct jobs *js, struct job_row *r, const struct report *rep, struct err *e)
{
        if (rep->best)
                take_validation(r, rep->best);
        return jobcore_record_model(js, r, e);
}

static int apply_success(struct jobs *js, struct jobtx *tx, const struct report *rep, struct err *e)
{
        struct job_row *r = &tx->row;
        int rc = 0;
        const char *reason =
                rep->stopped_early ? "stopped early: the metric of stop_when has not improved" : NULL;
        tx->stopped_early = rep->stopped_early;
        if (r->type == JOB_CLASSIFY)
                tx->result_bytes = result_bytes(js, r->id);
        if (rep->stopped_early)
                r->epoch = rep->epoch;
        if (r->type == JOB_TRAIN && !rep->stopped_early)
                r->step = r->steps;
        else if (r->type == JOB_TRAIN)
                move_to(r, rep->step);
        if (r->type == JOB_TRAIN)
                rc = apply_model(js, r, rep, e);
        return rc ? rc : jobtx_state(tx, JOB_SUCCEEDED, reason, e);
}

/* It failed, but not for nothing: the model of its best epoch is there. */
static int apply_diverged(struct jobs *js, struct jobtx *tx, const struct report *rep, struct err *e)
{
        move_to(&tx->row, rep->step);
        const int rc = apply_model(js, &tx->row, rep, e);
        return rc ? rc : jobtx_state(tx, JOB_FAILED, rep->error.message, e);
}

static int apply_done(struct jobs *js, struct jobtx *tx, const struct report *rep, struct err *e)
{
        struct job_row *r = &tx->row;
        if (rep->device_bytes)
                r->device_bytes = rep->device_bytes;
        if (rep->end == TRAIN_DONE && r->want != WANT_CANCEL)
                return apply_success(js, tx, rep, e);
        if (rep->end == TRAIN_DIVERGED && r->want != WANT_CANCEL)
                return apply_diverged(js, tx, rep, e);
        move_to(r, rep->step);
        return apply_stopped(tx, rep->data, e);
}

/* The disk was full or failed when it came to a checkpoint, or memory was short though a step has fitted: no
   reason to lose what came before. */
static bool passes(const struct job_row *r, const struct report *rep)
{
        const int code = rep->error.code;
        const bool began = r->type == JOB_TRAIN && r->step > 0;
        if (rep->final)
                return false;
        return (r->type == JOB_TRAIN && code == ERR_DISK) ||
               (began && (code == ERR_IO || code == ERR_UNAVAILABLE || code == ERR_NO_MEMORY ||
                                 code == ERR_DEVICE_MEMORY));
}

static bool tries_again(struct job_row *r)
{
        r->failures++;
        return r->failures < JOBRUN_FAILURES || r->want != WANT_NOTHING;
}

/* When that did not help it waits for somebody who mends it. */
static int apply_hindered(struct jobtx *tx, const char *text, bool full, struct err *e)
{
        char reason[1200];
        tx->row.failures = 0;
        snprintf(reason, sizeof reason, "%.1000s: %s the job", text,
                full ? "make room and resume" : "when that is over resume");
        return jobtx_state(tx, JOB_PAUSED, reason, e);
}

static int apply_failed(struct jobtx *tx, const struct report *rep, struct err *e)
{
        const struct err *why = &rep->error;
        const char *advice = err_advice(why);
        char text[sizeof why->message + sizeof why->log + 300];
        if (tx->row.want == WANT_CANCEL)
                return jobtx_state(tx, JOB_CANCELLED, NULL, e);
        snprintf(text, sizeof text, "%s%s%s%s%s", why->message, advice[0] ? ": " : "", advice,
                why->log[0] ? ": " : "", why->log);
        if (!passes(&tx->row, rep))
                return jobtx_state(tx, JOB_FAILED, text, e);
        if (tries_again(&tx->row))
                return apply_stopped(tx, text, e);
        return why->code == ERR_DEVICE_MEMORY ? jobtx_state(tx, JOB_FAILED, text, e)
                                              : apply_hindered(tx, text, why->code == ERR_DISK, e);
}

static int apply_lost(struct jobtx *tx, const struct report *rep, struct err *e)
{
        struct job_row *r = &tx->row;
        char text[1200];
        if (tries_again(r))
                return apply_stopped(tx, rep->data, e);
        if (rep->unread)
                return apply_hindered(tx, rep->data ? rep->data : "no memory for the reason", false, e);
        snprintf(text, sizeof text,
                "the worker of its device was lost %d times in a row without a training step between, at "
                "last on device"
                " %s: %s. See the daemon's log and GET /v1/devices; then try a smaller batch_size or another "
                "device, or"
                " repair the driver, reload or restart cnnd (which releases quarantined devices) and submit "
                "the job "
                "again",
                r->failures, r->device, rep->data ? rep->data : "no memory for the reason");
        return jobtx_state(tx, JOB_FAILED, text, e);
}

static int apply_report(
        struct jobs *js, struct jobtx *tx, const struct report *rep, bool *moved, struct err *e)
{
        switch (rep->kind) {
        case REPORT_EVENT:
                return apply_event(tx, rep, moved, e);
        case REPORT_DONE:
                return apply_done(js, tx, rep, e);
        case REPORT_FAILED:
                return apply_failed(tx, rep, e);
        case REPORT_LOST:
                return apply_lost(tx, rep, e);
        }
        return err_set(e, ERR_INTERNAL, "a report of no known kind");
}

/* Seconds that are worth a row: of a run that ends, or when enough have come together. */
static double seconds_to_store(const struct jobs *js, int device, const struct report *last)
{
        double due = shares_due(js->shares, device, clock_now_ms());
        return last->kind != REPORT_EVENT || due >= STORE_SECONDS ? due : 0;
}

/* After the commit: what else follows from it. */
static void settle(
        struct jobs *js, int64_t id, int device, enum job_state state, bool saved, int64_t failures)
{
        if (state == JOB_RUNNING)
                return;
        log_line(state == JOB_FAILED ? LOG_WARN : LOG_INFO, "job %lld %s failures=%lld", (long long)id,
                job_state_name(state), (long long)failures);
        shares_end(js->shares, device);
        jobcore_drop_copy(js, id);
        jobfolder_tidy(js, id, state, saved);
        js->changed = true;
}

static int apply(struct jobs *js, int64_t id, int device, const struct report *reports,
        struct jobrun_outcome *ret, struct err *e)
{
        struct jobtx tx;
        const struct report *last = reports;
        char placed[REQUEST_NAME_MAX + 1] = "";
        const int64_t wall = fading_ms(js);
        int rc = 0;
        *ret = (struct jobrun_outcome){0};
        for (const struct report *rep = reports; rc == 0 && rep; rep = rep->next) {
                if (rep->kind == REPORT_DONE && (rep->end == TRAIN_DONE || rep->end == TRAIN_DIVERGED))
                        rc = jobcore_place_model(js, id, placed, &ret->unplaced, &ret->under_way, e);
                last = rep;
        }
        if (rc)
                return rc;
        double seconds = seconds_to_store(js, device, last);
        rc = jobtx_begin(&tx, &js->home, id, e);
        if (rc == 0 && seconds > 0)
                rc = shares_store(js->shares, device, seconds, wall, e);
        int64_t step = tx.row.step;
        ret->cancelled = tx.row.want == WANT_CANCEL;
        tx.row.device_seconds += seconds;
        for (const struct report *rep = reports; rc == 0 && rep; rep = rep->next)
                rc = apply_report(js, &tx, rep, &ret->moved, e);
        const enum job_state state = tx.row.state;
        const bool saved = tx.row.model[0] != '\0';
        int64_t failures = tx.row.failures, steps = tx.row.step - step;
        rc = jobtx_end(&tx, rc, e);
        if (placed[0])
                models_placed(js->models, placed, rc == 0);
        if (rc)
                return rc;
        if (seconds > 0)
                shares_settle(js->shares, device, seconds, wall);
        if (steps > 0) {
                js->stats.steps += (uint64_t)steps;
                js->stats.images += (uint64_t)(steps * js->batch[device]);
        }
        settle(js, id, device, state, saved, failures);
        return 0;
}

int jobrun_apply(struct jobs *js, int64_t id, int device, const struct report *reports,
        struct jobrun_outcome *ret, struct err *e)
{
        int rc;
        do
                rc = apply(js, id, device, reports, ret, e);
        while (ret->cancelled && reserve_helps(js->reserve, rc));
        return rc;
}

static int recover_one(struct jobs *js, int64_t id, struct err *e)
{
        struct jobtx tx;
        int rc = jobtx_begin(&tx, &js->home, id, e);
        if (rc == 0)
                rc = apply_stopped(&tx, "the daemon was restarted", e);
        enum job_state state = tx.row.state;
        rc = jobtx_end(&tx, rc, e);
        if (rc == 0)
                jobfolder_tidy(js, id, state, false);
        return rc;
}

int jobrun_recover(struct jobs *js, struct err *e)
{
        for (;;) {
                sqlite3_stmt *st;
                int rc = store_prepare(
                        js->home.store, "SELECT id FROM jobs WHERE state = 'running' LIMIT 1", &st, e);
                if (rc == 0)
                        rc = store_step(js->home.store, st, e);
                if (rc <= 0)
                        return rc;
                int64_t id = sqlite3_column_int64(st, 0);
                sqlite3_reset(st);
                log_line(LOG_INFO, "job %lld was running when the daemon ended; it goes on", (long long)id);
                rc = recover_one(js, id, e);
                if (rc)
                        return rc;
        }
}
