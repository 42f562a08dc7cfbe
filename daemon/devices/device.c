#include "daemon/devices/device.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "daemon/devices/drivercache.h"
#include "daemon/common/wire.h"

#include <stdio.h>
#include <string.h>

enum { BACKOFF_FIRST_MS = 100, BACKOFF_MAX_MS = 10000, START_AGAIN_MS = 1000, BARRED_MS = 15000 };
/* After so long a device that was given up is tried again, then after twice as long, and so on to 16 times.
 */
enum { QUARANTINE_MS = 600000, QUARANTINE_DOUBLINGS = 4 };
/* A worker that lived this long had nothing to do with the failures before it. */
enum { STABLE_MS = 600000 };

static int worker_message(void *ctx, struct child *c, struct chan_message *m);
static void worker_gone(void *ctx, struct child *c, int status, const char *why);
static void worker_stuck(void *ctx, struct child *c);

/* Where no process can be had (descriptors or memory are short) that is no fault of the device: it is tried
 * again. */
void device_start(struct device *d)
{
        struct err e;
        const struct supervisor_options *o = d->options;
        const char *const args[] = {"--role", "worker", "--device", d->info.id, "--uuid", d->info.uuid,
                "--state", o->state_dir, "--log", o->log_level, d->driver[0] ? "--driver" : NULL, d->driver,
                NULL};
        const struct child_hooks hooks = {
                .ctx = d, .message = worker_message, .gone = worker_gone, .stuck = worker_stuck};
        d->state = DEVICE_STARTING;
        d->busy = true;
        d->progress = d->device_bytes = 0;
        d->tells_free = d->barred = d->compiling = false;
        d->map_done = d->map_windows = 0;
        d->reason[0] = '\0';
        d->started_ms = d->heard_ms = d->moved_ms = clock_now_ms();
        second_compile(d);
        if (child_start(o->kids, args, &hooks, &d->worker, &e) == 0)
                return;
        d->worker = NULL;
        d->busy = false;
        d->restart_ms = d->started_ms + START_AGAIN_MS;
        snprintf(d->reason, sizeof d->reason, "no worker can be started: %s", e.message);
        log_line(LOG_WARN, "device %s: %s", d->info.id, d->reason);
}

void device_finish(struct device *d)
{
        cJSON_Delete(d->selftest);
        second_finish(d);
}

int64_t device_backoff_ms(int failures)
{
        int64_t ms = BACKOFF_FIRST_MS;
        for (int i = 1; i < failures && ms < BACKOFF_MAX_MS; i++)
                ms *= 2;
        return ms < BACKOFF_MAX_MS ? ms : BACKOFF_MAX_MS;
}

/* Before the last try: a driver may die of a damaged file among what was compiled, again and again. */
static void put_cache_aside(const struct device *d)
{
        struct err e;
        int moved = 0;
        if (drivercache_put_aside(d->options->state_dir, d->info.id, &moved, &e))
                log_line(LOG_WARN, "device %s: %s", d->info.id, e.message);
        else if (moved)
                log_line(LOG_WARN, "device %s: what was compiled is put aside and made anew", d->info.id);
}

void device_set_job(struct device *d, int64_t job)
{
        int64_t now = clock_now_ms();
        if (d->job)
                d->busy_ms += now - d->busy_since_ms;
        d->busy_since_ms = now;
        d->job = job;
}

static int64_t quarantine_ms(const struct device *d)
{
        const int more = d->failures - SUPERVISOR_FAILURES;
        return (int64_t)QUARANTINE_MS << (more < QUARANTINE_DOUBLINGS ? more : QUARANTINE_DOUBLINGS);
}

/* The worker is gone: decides about the next one, then tells. A file that cannot be read (`unread`) is no
   fault of the device. */
static void device_failed(struct device *d, const char *why, bool unread)
{
        char reason[sizeof d->reason];
        snprintf(reason, sizeof reason, "%s", d->reason[0] ? d->reason : why);
        if (clock_now_ms() - d->started_ms >= STABLE_MS)
                d->failures = 0;
        d->failures += !unread;
        device_set_job(d, 0);
        d->busy = false;
        bool quarantined = !unread && d->failures >= SUPERVISOR_FAILURES;
        d->state = quarantined ? DEVICE_QUARANTINED : DEVICE_STARTING;
        d->restart_ms = clock_now_ms() + (quarantined ? quarantine_ms(d) : device_backoff_ms(d->failures));
        snprintf(d->reason, sizeof d->reason, "%s", reason);
        log_line(quarantined ? LOG_ERROR : LOG_WARN, "device %s: its worker was lost (%d in a row): %s%s",
                d->info.id, d->failures, reason, quarantined ? "; quarantined, and tried again later" : "");
        if (!unread && d->failures == SUPERVISOR_FAILURES - 1)
                put_cache_aside(d);
        if (d->hooks->lost)
                d->hooks->lost(d->hooks->ctx, d->index, reason, unread);
}

/* Nothing is wrong with the device: another program has it, or its memory, for as long as that likes. */
static void device_barred(struct device *d)
{
        d->busy = false;
        d->restart_ms = clock_now_ms() + BARRED_MS;
        log_line(d->waits ? LOG_DEBUG : LOG_WARN, "device %s is tried again every %d s: %s", d->info.id,
                BARRED_MS / 1000, d->reason);
        const size_t len = strlen(d->reason);
        snprintf(d->reason + len, sizeof d->reason - len, "; tried again every %d s", BARRED_MS / 1000);
        d->waits = true;
}

/* Nobody who waits for its work is to wait until it ends, which may be never; and another worker would run
   into the same. */
static void worker_stuck(void *ctx, struct child *c)
{
        struct device *d = ctx;
        if (c != d->worker)
                return;
        const size_t len = strlen(d->reason);
        snprintf(d->reason + len, sizeof d->reason - len,
                "%sits worker was killed and does not end: the kernel holds it, most likely in the device's "
                "driver. The device is tried again as soon as it does; a reset of the device, or else of the "
                "machine, ends that",
                len ? "; " : "");
        d->stuck = true;
        second_close(d);
        device_failed(d, d->reason, false);
        d->state = DEVICE_QUARANTINED;
}

static void stuck_no_more(struct device *d)
{
        d->stuck = false;
        d->state = DEVICE_STARTING; /* another failure quarantines it */
        d->restart_ms = clock_now_ms() + device_backoff_ms(d->failures);
        log_line(LOG_INFO, "device %s: the worker that did not end has ended", d->info.id);
}

/* The front's own want of memory is not held against the device. */
static void worker_gone(void *ctx, struct child *c, int status, const char *why)
{
        struct device *d = ctx;
        char text[160];
        if (c != d->worker)
                return;
        d->worker = NULL;
        if (d->stuck) {
                stuck_no_more(d);
                return;
        }
        second_close(d);
        if (d->barred) {
                device_barred(d);
                return;
        }
        snprintf(text, sizeof text, "the worker was %s", why);
        device_failed(d, text, child_found_unreadable(status));
}

static void kill_worker(struct device *d, const char *why)
{
        snprintf(d->reason, sizeof d->reason, "%s", why);
        d->busy = false;            /* once is enough */
        d->state = DEVICE_STARTING; /* nothing more is given to it */
        log_line(LOG_WARN, "device %s: killing its worker: %s", d->info.id, why);
        child_kill(d->worker);
}

void device_end_worker(struct device *d, const char *why)
{
        if (d->worker && !d->stuck)
                kill_worker(d, why);
}

static void take_free(struct device *d, const cJSON *head)
{
        d->tells_free = cJSON_IsNumber(json_field(head, "memory_free"));
        d->free_bytes = (double)wire_int(head, "memory_free");
}

static void heartbeat(struct device *d, const cJSON *head)
{
        const cJSON *map = json_field(head, "map");
        bool busy = cJSON_IsTrue(json_field(head, "busy"));
        double now = (double)wire_int(head, "progress");
        const int64_t starved = wire_int(head, "starved_ms"), still = d->heard_ms - d->moved_ms;
        if (now != d->progress || !busy)
                d->moved_ms = d->heard_ms;
        else if (starved > 0 && still > 0) /* who waits for a processor does not hang */
                d->moved_ms += starved < still ? starved : still;
        d->progress = now;
        d->busy = busy;
        d->compiling = cJSON_IsTrue(json_field(head, "compiling"));
        d->device_bytes = (double)wire_int(head, "device_bytes");
        take_free(d, head);
        d->map_done = wire_int(map, "done");
        d->map_windows = wire_int(map, "windows");
}

static void hello(struct device *d, cJSON *head)
{
        cJSON_Delete(d->selftest);
        d->selftest = cJSON_DetachItemFromObjectCaseSensitive(head, "selftest");
        d->state = DEVICE_READY;
        d->waits = false;
        take_free(d, head);
        d->moved_ms = d->heard_ms;
        log_line(LOG_INFO, "device %s is ready: %s (%s)", d->info.id, d->info.name, d->info.platform);
        if (d->hooks->ready)
                d->hooks->ready(d->hooks->ctx);
}

static int worker_message(void *ctx, struct child *c, struct chan_message *m)
{
        struct device *d = ctx;
        struct err e;
        const cJSON *op = json_field(m->head, "op");
        if (c != d->worker || !cJSON_IsString(op))
                return 0;
        d->heard_ms = clock_now_ms();
        if (strcmp(op->valuestring, "heartbeat") == 0) {
                heartbeat(d, m->head);
        } else if (strcmp(op->valuestring, "hello") == 0) {
                hello(d, m->head);
        } else if (strcmp(op->valuestring, "failed") == 0) {
                (void)wire_error_read(json_field(m->head, "error"), &e);
                snprintf(d->reason, sizeof d->reason, "%s", e.message);
                d->barred = d->state == DEVICE_STARTING &&
                            (e.code == ERR_UNAVAILABLE || e.code == ERR_DEVICE_MEMORY);
        } else if (strcmp(op->valuestring, "unkept") == 0) {
                second_keep(d, cJSON_DetachItemFromObjectCaseSensitive(m->head, "programs"));
        } else {
                d->moved_ms = d->heard_ms;
                if (d->hooks->message)
                        return d->hooks->message(d->hooks->ctx, d->index, m);
        }
        return 0;
}

static const char *state_text(const struct device *d)
{
        if (d->state == DEVICE_QUARANTINED)
                return "quarantined";
        if (d->state == DEVICE_STARTING)
                return "starting";
        return d->job ? "busy" : "ready";
}

cJSON *device_json(const struct device *d)
{
        cJSON *o = cJSON_CreateObject();
        cJSON_AddStringToObject(o, "id", d->info.id);
        cJSON_AddStringToObject(o, "name", d->info.name);
        cJSON_AddStringToObject(o, "vendor", d->info.vendor);
        cJSON_AddStringToObject(o, "driver", d->info.driver);
        cJSON_AddStringToObject(o, "version", d->info.version);
        cJSON_AddStringToObject(o, "platform", d->info.platform);
        cJSON_AddStringToObject(o, "type", dev_type_name(d->info.type));
        cJSON_AddNumberToObject(o, "memory", (double)d->info.global_bytes);
        if (d->tells_free)
                cJSON_AddNumberToObject(o, "memory_free", d->free_bytes);
        cJSON_AddNumberToObject(o, "max_buffer", (double)d->info.max_alloc_bytes);
        cJSON_AddNumberToObject(o, "compute_units", d->info.compute_units);
        cJSON_AddStringToObject(o, "state", state_text(d));
        json_add(o, "job", d->job ? cJSON_CreateNumber((double)d->job) : cJSON_CreateNull());
        json_add(o, "map", wire_map_json(d->map_done, d->map_windows));
        cJSON_AddNumberToObject(o, "device_bytes", d->device_bytes);
        json_add(o, "worker_pid", d->worker ? cJSON_CreateNumber(child_pid(d->worker)) : cJSON_CreateNull());
        cJSON_AddNumberToObject(o, "failures", d->failures);
        json_add(o, "reason", d->reason[0] ? cJSON_CreateString(d->reason) : cJSON_CreateNull());
        json_add(o, "selftest", d->selftest ? cJSON_Duplicate(d->selftest, true) : cJSON_CreateNull());
        return o;
}

/* What the worker holds is given up for a job. What the driver itself has taken is not, and plans leave it
   out already (dev_driver_bytes). */
uint64_t device_room(const struct device *d)
{
        const double room = d->free_bytes + d->device_bytes;
        return d->tells_free && room < (double)d->info.global_bytes ? (uint64_t)room : d->info.global_bytes;
}

int device_send(struct device *d, const cJSON *head, const void *raw, size_t raw_len, struct err *e)
{
        if (d->state != DEVICE_READY || !d->worker)
                return err_set(e, ERR_UNAVAILABLE, "device %s is not ready", d->info.id);
        /* What follows counts from now: the worker was idle until here. */
        if (!d->busy)
                d->moved_ms = clock_now_ms();
        return child_send(d->worker, head, raw, raw_len, e);
}

static int64_t patience_ms(const struct device *d)
{
        return (int64_t)(d->options->watchdog_seconds * 1000) *
               (d->state == DEVICE_STARTING || d->compiling ? SUPERVISOR_STARTING_PATIENCE : 1);
}

int64_t device_due_ms(const struct device *d)
{
        if (!d->worker)
                return d->restart_ms;
        if (d->stuck)
                return INT64_MAX;
        int64_t lost = d->heard_ms + SUPERVISOR_HEARTBEAT_LOST_MS, stuck = d->moved_ms + patience_ms(d);
        return d->busy && stuck < lost ? stuck : lost;
}

void device_again(struct device *d)
{
        if (d->state == DEVICE_QUARANTINED || (d->waits && !d->worker))
                d->restart_ms = clock_now_ms();
}

void device_tick(struct device *d, int64_t now_ms)
{
        char why[200];
        const int64_t late_ms = now_ms - device_due_ms(d);
        if (late_ms < 0)
                return;
        if (!d->worker) {
                device_start(d);
                return;
        }
        /* The front wakes when it is due, so it was stopped, and the worker may have been: it gets a moment.
         */
        if (late_ms >= SUPERVISOR_AWAY_MS) {
                log_line(LOG_INFO, "cnnd was stopped, or had no processor, for %lld s",
                        (long long)(late_ms / 1000));
                d->heard_ms += late_ms + SUPERVISOR_AWAY_MS;
                d->moved_ms += late_ms + SUPERVISOR_AWAY_MS;
                return;
        }
        if (now_ms - d->heard_ms >= SUPERVISOR_HEARTBEAT_LOST_MS)
                snprintf(why, sizeof why, "no heartbeat for %d s", SUPERVISOR_HEARTBEAT_LOST_MS / 1000);
        else
                snprintf(why, sizeof why,
                        "its engine did not move for %lld s (a kernel that never returns, or a driver that "
                        "hangs)",
                        (long long)((now_ms - d->moved_ms) / 1000));
        d->heard_ms = now_ms; /* the death itself takes a moment to be seen */
        kill_worker(d, why);
}
