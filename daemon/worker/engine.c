#include "daemon/worker/engine.h"

#include "base/asan.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "daemon/worker/commands.h"
#include "daemon/worker/evaluate.h"
#include "daemon/worker/keeping.h"
#include "daemon/worker/loaded.h"
#include "daemon/worker/mapqueue.h"
#include "daemon/worker/pulse.h"
#include "daemon/worker/questions.h"
#include "daemon/worker/tuned.h"
#include "daemon/worker/voice.h"
#include "daemon/common/wire.h"
#include "data/dataset.h"
#include "device/dev.h"
#include "device/launch.h"
#include "ops/selftest.h"
#include "train/train.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct engine {
        struct voice voice;
        char *device, *uuid, *state_dir; /* owned */
        void (*prepare)(const char *device, const char *state_dir);
        struct mapqueue *maps; /* owned; any thread */
        /* Under `lock`: */
        pthread_mutex_t lock;
        pthread_cond_t wake;
        struct commands jobs, requests;
        int64_t job; /* the job last handed over, 0 before the first */
        enum train_want want;
        int64_t synced;     /* the last mark that the front has answered */
        struct pulse pulse; /* any thread */
        /* The engine thread's own: */
        struct dev *dev;
        struct strategies *known; /* of the device */
        struct loaded *loaded;
        int quiet_ms;                /* until keeping_tell */
        struct questions_long asked; /* `dropped`: any thread */
        int64_t running;             /* the job in hand */
        int64_t marks;               /* sent so far */
        int64_t hang_step, looks;    /* test hook: see worker.h */
        const char *hang_file;
};

void engine_pulse(struct engine *en, struct engine_pulse *ret)
{
        pulse_read(&en->pulse, ret);
        mapqueue_progress(en->maps, &ret->map_done, &ret->map_windows);
}

static void note_progress(struct engine *en)
{
        pulse_moved(&en->pulse, en->dev);
}

static int post_map(struct engine *en, struct chan_message *m, struct err *e)
{
        int rc = mapqueue_post(en->maps, m, e);
        pthread_mutex_lock(&en->lock);
        pthread_cond_signal(&en->wake);
        pthread_mutex_unlock(&en->lock);
        return rc;
}

int engine_post(struct engine *en, struct chan_message *m, struct err *e)
{
        const char *op = wire_text(m->head, "op");
        int64_t job = wire_int(m->head, "job");
        if (strcmp(op, "stop") == 0 || strcmp(op, "cancel") == 0) {
                pthread_mutex_lock(&en->lock);
                if (job == en->job)
                        en->want = op[0] == 's' ? TRAIN_STOP : TRAIN_CANCEL;
                pthread_mutex_unlock(&en->lock);
                return 0;
        }
        if (strcmp(op, "drop") == 0) {
                mapqueue_drop(en->maps, wire_int(m->head, "request"));
                questions_drop(&en->asked, wire_int(m->head, "request"));
                return 0;
        }
        if (strcmp(op, "synced") == 0) {
                pthread_mutex_lock(&en->lock);
                const int64_t mark = wire_int(m->head, "mark");
                en->synced = mark > en->synced ? mark : en->synced;
                pthread_cond_signal(&en->wake);
                pthread_mutex_unlock(&en->lock);
                return 0;
        }
        if (strcmp(op, "map") == 0)
                return post_map(en, m, e);
        bool request = strcmp(op, "classify") == 0 || strcmp(op, "look") == 0;
        if (!request && strcmp(op, "train") != 0 && strcmp(op, "evaluate") != 0)
                return err_set(e, ERR_INTERNAL, "unknown command '%s'", op);
        struct command *c = command_create(m);
        if (!c)
                return err_set(e, ERR_NO_MEMORY, "no memory for a command");
        pthread_mutex_lock(&en->lock);
        if (!request) {
                en->job = job;
                en->want = TRAIN_GO;
        }
        commands_push(request ? &en->requests : &en->jobs, c);
        pthread_cond_signal(&en->wake);
        pthread_mutex_unlock(&en->lock);
        return 0;
}

/* Nothing can be done on the device any more. The front puts what was in hand back, and starts a worker anew.
 */
static void end_process(struct engine *en, const struct err *why)
{
        voice_fail(&en->voice, "failed", NULL, 0, why);
        _exit(1); /* not exit: the driver's exit handlers may hang */
}

/* After a call of the driver failed. Some drivers answer every later call with the same error, whatever it
 * means. */
static void check_device(struct engine *en, const struct err *why)
{
        struct err e;
        if (why->code == ERR_LOST || ((why->cl || why->code == ERR_DEVICE) && selftest_check(en->dev, &e)))
                end_process(en, why);
}

static void answer_alone(struct engine *en, struct chan_message *m)
{
        struct err e = {0};
        int said;
        if (strcmp(wire_text(m->head, "op"), "look") == 0
                        ? questions_look(en->loaded, &en->voice, m, &e)
                        : questions_classify(en->loaded, &en->voice, &m, 1, &said, &e)) {
                check_device(en, &e);
                voice_fail(&en->voice, "classify_failed", "request", wire_int(m->head, "request"), &e);
        }
        note_progress(en);
}

/* Several in one run. Where that fails, the others are not to share it: each runs alone. */
static void answer_together(struct engine *en, struct chan_message *const *m, int count)
{
        struct err e = {0};
        int said = 0;
        if (count > 1 && questions_classify(en->loaded, &en->voice, m, count, &said, &e))
                check_device(en, &e);
        else if (count > 1)
                said = count;
        for (int i = said; i < count; i++)
                answer_alone(en, m[i]);
        note_progress(en);
}

/* Works off the classifications that wait now. Those that come meanwhile are for the next time: clients who
   ask again at once would hold up a job for ever. */
static void answer_requests(struct engine *en)
{
        pthread_mutex_lock(&en->lock);
        struct commands now = en->requests;
        en->requests = (struct commands){0};
        pthread_mutex_unlock(&en->lock);
        while (now.first) {
                if (questions_take_long(&en->asked, &now))
                        continue;
                struct chan_message *m[QUESTIONS_TOGETHER];
                size_t bytes = 0;
                int count = 0;
                for (struct command *c = now.first; c && count < QUESTIONS_TOGETHER; c = c->next) {
                        bytes += c->m.raw_len;
                        if (count && (bytes > QUESTIONS_BYTES || !questions_agree(m[0], &c->m)))
                                break;
                        m[count++] = &c->m;
                }
                answer_together(en, m, count);
                while (count--)
                        command_free(commands_pop(&now));
        }
}

/* One run of the long classification in hand, and one batch of the class map. */
static void work_on_long(struct engine *en)
{
        struct err e = {0};
        if (en->asked.c) {
                if (questions_work(&en->asked, en->loaded, &en->voice, &e)) {
                        check_device(en, &e);
                        questions_fail(&en->asked, &en->voice, &e);
                }
                note_progress(en);
        }
        if (!mapqueue_waits(en->maps))
                return;
        if (mapqueue_work(en->maps, en->dev, en->loaded, &e)) {
                check_device(en, &e);
                mapqueue_fail(en->maps, &e);
        }
        note_progress(en);
}

static void hang_if_told(struct engine *en)
{
        if (!en->hang_file || ++en->looks < en->hang_step || unlink(en->hang_file) != 0)
                return;
        log_line(LOG_WARN, "test hook: the engine thread stops here for ever");
        for (;;)
                pause();
}

static enum train_want between_steps(void *ctx)
{
        struct engine *en = ctx;
        note_progress(en);
        hang_if_told(en);
        answer_requests(en);
        work_on_long(en);
        pthread_mutex_lock(&en->lock);
        enum train_want want = en->job == en->running ? en->want : TRAIN_GO;
        pthread_mutex_unlock(&en->lock);
        return want;
}

static bool asked(void *ctx)
{
        struct engine *en = ctx;
        note_progress(en);
        pthread_mutex_lock(&en->lock);
        const bool any = en->requests.first || (en->job == en->running && en->want != TRAIN_GO);
        pthread_mutex_unlock(&en->lock);
        return any || en->asked.c || mapqueue_waits(en->maps) || en->hang_file;
}

static int send_event(void *ctx, const char *event, const char *data, struct err *e)
{
        struct engine *en = ctx;
        cJSON *head = voice_head("event", "job", en->running);
        cJSON_AddStringToObject(head, "event", event);
        cJSON_AddStringToObject(head, "data", data);
        note_progress(en);
        return voice_say(&en->voice, head, NULL, 0, e);
}

/* For pthread_cond_timedwait, by the clock of init_wake. */
static struct timespec in_ms(int ms)
{
        const int64_t at = clock_now_ms() + ms;
        return (struct timespec){at / 1000, at % 1000 * 1000000};
}

/* Waits until the front has stored all events so far. A front that cannot (its disk is full) holds the run
   up, but not the classifications. */
static int sync_events(void *ctx, struct err *e)
{
        struct engine *en = ctx;
        cJSON *head = voice_head("sync", "job", en->running);
        int64_t mark = ++en->marks;
        cJSON_AddNumberToObject(head, "mark", (double)mark);
        int rc = voice_say(&en->voice, head, NULL, 0, e);
        for (bool done = false; rc == 0 && !done;) {
                const struct timespec until = in_ms(1000);
                pthread_mutex_lock(&en->lock);
                while (en->synced < mark && !en->requests.first && !en->asked.c && !mapqueue_waits(en->maps))
                        if (pthread_cond_timedwait(&en->wake, &en->lock, &until))
                                break;
                done = en->synced >= mark;
                pthread_mutex_unlock(&en->lock);
                note_progress(en);
                answer_requests(en);
                if (!done)
                        work_on_long(en);
        }
        return rc;
}

static int train(struct engine *en, const cJSON *head, struct train_outcome *out, struct err *e)
{
        struct train_request request = {0};
        struct dataset *data = NULL;
        const struct train_hooks hooks = {.ctx = en,
                .event = send_event,
                .between_steps = between_steps,
                .asked = asked,
                .before_checkpoint = sync_events};
        const char *dir = NULL;
        double seconds = 0;
        const cJSON *init = json_field(head, "init");
        int rc = wire_need_text(head, "dir", &dir, e);
        if (rc == 0)
                rc = wire_need_number(head, "checkpoint_seconds", &seconds, e);
        if (rc == 0)
                rc = train_request_parse(json_field(head, "request"), &request, e);
        if (rc)
                return rc;
        rc = dataset_open(wire_text(head, "dataset"), &data, e);
        if (rc == 0) {
                struct train_job job = {.request = &request,
                        .data = data,
                        .dir = dir,
                        .init_weights = cJSON_IsString(init) ? init->valuestring : NULL,
                        .checkpoint_step = wire_int(head, "checkpoint_step"),
                        .checkpoint_seconds = seconds};
                /* The plan was made for an empty device; models come back when they are asked for. */
                loaded_drop(en->loaded);
                rc = tuned_train(en->state_dir, en->dev, en->known, &job, json_field(head, "strategies"),
                        &hooks, out, e);
        }
        dataset_close(data);
        train_request_finish(&request);
        return rc;
}

static void run_job(struct engine *en, struct command *c)
{
        static const char *const ends[] = {"done", "stopped", "cancelled", "diverged"};
        const cJSON *head = c->m.head;
        struct train_outcome out = {0};
        struct err e = {0};
        en->running = wire_int(head, "job");
        int rc = strcmp(wire_text(head, "op"), "train") == 0
                         ? train(en, head, &out, &e)
                         : evaluate_run(en->dev, en->known, en->loaded, head, between_steps, en, &out, &e);
        if (rc == 0) {
                cJSON *done = voice_head("done", "job", en->running);
                cJSON_AddStringToObject(done, "end", ends[out.end]);
                cJSON_AddNumberToObject(done, "step", (double)out.step);
                cJSON_AddNumberToObject(done, "device_bytes", (double)out.device_bytes);
                cJSON_AddBoolToObject(done, "stopped_early", out.stopped_early);
                cJSON_AddNumberToObject(done, "epoch", out.epoch);
                if (out.best[0])
                        json_add(done, "best", cJSON_CreateRaw(out.best));
                if (out.end == TRAIN_DIVERGED)
                        json_add(done, "error", wire_error_json(&out.why));
                rc = voice_say(&en->voice, done, NULL, 0, &e);
        }
        if (rc) {
                check_device(en, &e);
                voice_fail(&en->voice, "job_failed", "job", en->running, &e);
        }
        en->running = 0;
        note_progress(en);
}

/* Known answers first: a device that computes wrongly says no hello. */
static int test_device(struct engine *en, struct err *e)
{
        cJSON *report = NULL;
        int rc = selftest_run(en->dev, &report, e);
        note_progress(en);
        if (rc) {
                cJSON_Delete(report);
                return err_wrap(e, "selftest of device %s", en->device);
        }
        cJSON *head = voice_head("hello", NULL, 0);
        uint64_t bytes;
        json_add(head, "selftest", report);
        if (memwatch_free(&en->pulse.memory, &bytes))
                cJSON_AddNumberToObject(head, "memory_free", (double)bytes);
        rc = voice_say(&en->voice, head, NULL, 0, e);
        prog_save(en->dev, NULL); /* the next start compiles again where this fails: no harm */
        return rc;
}

static int open_device(struct engine *en, struct err *e)
{
        char cache[PATH_MAX];
        snprintf(cache, sizeof cache, "%s/cache", en->state_dir);
        const struct dev_options options = {.cache_dir = cache, .uuid = en->uuid};
        int rc = dev_open(en->device, &options, &en->dev, e);
        if (rc)
                return err_wrap(e, "device %s", en->device);
        note_progress(en);
        rc = pulse_watch(&en->pulse, en->dev, e);
        if (rc == 0)
                rc = tuned_load(en->state_dir, dev_info(en->dev), &en->known, e);
        const struct clblast_params *clblast = rc ? NULL : strategies_clblast(en->known);
        if (clblast && dev_info(en->dev)->clblast)
                rc = clblast_apply(en->dev, clblast, e);
        if (rc)
                return rc;
        en->loaded = loaded_create(en->dev, en->known);
        return en->loaded ? test_device(en, e) : err_set(e, ERR_NO_MEMORY, "no memory for models");
}

static bool has_work(const struct engine *en)
{
        return en->jobs.first || en->requests.first || en->asked.c || mapqueue_waits(en->maps);
}

/* With the lock. */
static bool stays_quiet(struct engine *en, int ms)
{
        const struct timespec until = in_ms(ms);
        return pthread_cond_timedwait(&en->wake, &en->lock, &until) == ETIMEDOUT && !has_work(en);
}

/* With the lock, given up meanwhile. */
static void wait_for_work(struct engine *en)
{
        struct err e;
        bool told = false;
        atomic_store(&en->pulse.busy, false);
        while (!has_work(en))
                if (told) {
                        pthread_cond_wait(&en->wake, &en->lock);
                } else if (stays_quiet(en, en->quiet_ms)) {
                        pthread_mutex_unlock(&en->lock);
                        if (keeping_tell(en->dev, &en->voice, &e))
                                log_line(LOG_WARN, "what was compiled is not kept: %s", e.message);
                        told = true;
                        pthread_mutex_lock(&en->lock);
                }
        atomic_store(&en->pulse.busy, true);
}

static void *engine_thread(void *ctx)
{
        struct engine *en = ctx;
        struct err e = {0};
        if (en->prepare)
                en->prepare(en->device, en->state_dir);
        if (open_device(en, &e))
                end_process(en, &e);
        for (;;) {
                pthread_mutex_lock(&en->lock);
                wait_for_work(en);
                /* A job's memory was planned for a device without a map's image. */
                struct command *c =
                        en->requests.first || mapqueue_busy(en->maps) ? NULL : commands_pop(&en->jobs);
                pthread_mutex_unlock(&en->lock);
                note_progress(en);
                answer_requests(en);
                if (c)
                        run_job(en, c);
                else
                        work_on_long(en);
                command_free(c);
                asan_check_leaks();
        }
        return NULL;
}

/* By the steady clock: a wall clock that is set neither lengthens a wait nor ends it. */
static void init_wake(pthread_cond_t *wake)
{
        pthread_condattr_t how;
        pthread_condattr_init(&how);
        pthread_condattr_setclock(&how, CLOCK_MONOTONIC);
        pthread_cond_init(wake, &how);
        pthread_condattr_destroy(&how);
}

int engine_start(const struct engine_options *o, struct engine **ret, struct err *e)
{
        pthread_t thread;
        const char *hang_step = getenv("CNND_TEST_HANG_STEP");
        struct engine *en = calloc(1, sizeof *en);
        if (!en)
                return err_set(e, ERR_NO_MEMORY, "no memory for the engine");
        pthread_mutex_init(&en->lock, NULL);
        init_wake(&en->wake);
        en->voice = o->voice;
        en->prepare = o->prepare;
        en->hang_file = getenv("CNND_TEST_HANG_FILE");
        en->hang_step = hang_step ? strtoll(hang_step, NULL, 10) : 1;
        en->quiet_ms = keeping_quiet_ms();
        en->device = strdup(o->device);
        en->uuid = strdup(o->uuid ? o->uuid : "");
        en->state_dir = strdup(o->state_dir);
        en->maps = mapqueue_create(&en->voice);
        atomic_store(&en->pulse.busy, true);
        int rc = en->device && en->uuid && en->state_dir && en->maps
                         ? 0
                         : err_set(e, ERR_NO_MEMORY, "no memory for the engine");
        int errnum = rc ? 0 : pthread_create(&thread, NULL, engine_thread, en);
        if (errnum)
                rc = err_errno(e, errnum, "engine thread");
        if (rc) {
                free(en->device);
                free(en->uuid);
                free(en->state_dir);
                mapqueue_destroy(en->maps);
                free(en);
                return rc;
        }
        pthread_detach(thread);
        *ret = en;
        return 0;
}
