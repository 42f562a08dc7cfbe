#include "daemon/supervisor.h"

#include "base/json.h"
#include "base/log.h"
#include "daemon/clock.h"
#include "daemon/drivercache.h"
#include "daemon/wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
        BACKOFF_FIRST_MS = 100,
        BACKOFF_MAX_MS = 10000,
        PROBE_TIMEOUT_MS = 60000,
        PROBE_AGAIN_MS = 30000,
        START_AGAIN_MS = 1000
};
/* Opening a device and testing its kernels compiles them: this many times the watchdog's patience. */
enum { STARTING_PATIENCE = 5 };
/* A worker that lived this long had nothing to do with the failures before it. */
enum { STABLE_MS = 600000 };

struct device {
        struct supervisor *home; /* borrowed */
        int index;
        struct dev_info info;
        enum device_state state;
        struct child *worker; /* NULL between two of them */
        int failures;         /* in a row */
        int64_t restart_ms;   /* when the next worker is due, where there is none */
        int64_t job;
        int64_t busy_since_ms, busy_ms; /* with a job */
        /* Of the worker that runs: */
        int64_t started_ms;
        int64_t heard_ms, moved_ms; /* the last message; the last change of the progress counter */
        double progress, device_bytes;
        int64_t map_done, map_windows; /* of the class map in hand; 0 windows for none */
        bool busy;
        char reason[700]; /* why it was killed or what it said before it died; "" where unknown */
        cJSON *selftest;  /* owned; of the last hello */
};

struct supervisor {
        struct supervisor_hooks hooks;
        struct children *kids;
        char *state_dir, *device_spec, *log_level; /* owned */
        int64_t watchdog_ms;
        struct device devices[SUPERVISOR_MAX_DEVICES]; /* workers point to them */
        int count;
        struct child *probe; /* NULL: not running */
        bool probed;
        int probes;
        int64_t probe_ms; /* deadline of the probe that runs, else when the next is due */
        char problem[700];
};

static int worker_message(void *ctx, struct child *c, struct chan_message *m);
static void worker_gone(void *ctx, struct child *c, int status, const char *why);

/* Where no process can be had (descriptors or memory are short) that is no fault of the device: it is tried
 * again. */
static void start_worker(struct device *d)
{
        struct err e;
        const struct supervisor *sv = d->home;
        const char *const args[] = {"--role", "worker", "--device", d->info.id, "--state", sv->state_dir,
                "--log", sv->log_level, NULL};
        const struct child_hooks hooks = {.ctx = d, .message = worker_message, .gone = worker_gone};
        d->state = DEVICE_STARTING;
        d->busy = true;
        d->progress = d->device_bytes = 0;
        d->map_done = d->map_windows = 0;
        d->reason[0] = '\0';
        d->started_ms = d->heard_ms = d->moved_ms = clock_now_ms();
        if (child_start(sv->kids, args, &hooks, &d->worker, &e) == 0)
                return;
        d->worker = NULL;
        d->busy = false;
        d->restart_ms = d->started_ms + START_AGAIN_MS;
        snprintf(d->reason, sizeof d->reason, "no worker can be started: %s", e.message);
        log_line(LOG_WARN, "device %s: %s", d->info.id, d->reason);
}

static int64_t backoff_ms(int failures)
{
        int64_t ms = BACKOFF_FIRST_MS;
        for (int i = 1; i < failures && ms < BACKOFF_MAX_MS; i++)
                ms *= 2;
        return ms < BACKOFF_MAX_MS ? ms : BACKOFF_MAX_MS;
}

/* Before the last try: a driver may die of a damaged file among what it has compiled, again and again. */
static void put_cache_aside(const struct device *d)
{
        struct err e;
        int moved = 0;
        if (drivercache_put_aside(d->home->state_dir, d->info.id, &moved, &e))
                log_line(LOG_WARN, "device %s: %s", d->info.id, e.message);
        else if (moved)
                log_line(LOG_WARN, "device %s: its driver's compiled kernels are put aside and made anew",
                        d->info.id);
}

/* From here to there its time counts as busy. */
static void note_job(struct device *d, int64_t job)
{
        int64_t now = clock_now_ms();
        if (d->job)
                d->busy_ms += now - d->busy_since_ms;
        d->busy_since_ms = now;
        d->job = job;
}

/* The worker is gone: decides about the next one, then tells. */
static void device_failed(struct device *d, const char *why)
{
        struct supervisor *sv = d->home;
        char reason[sizeof d->reason];
        snprintf(reason, sizeof reason, "%s", d->reason[0] ? d->reason : why);
        if (clock_now_ms() - d->started_ms >= STABLE_MS)
                d->failures = 0;
        d->failures++;
        note_job(d, 0);
        d->busy = false;
        bool quarantined = d->failures >= SUPERVISOR_FAILURES;
        d->state = quarantined ? DEVICE_QUARANTINED : DEVICE_STARTING;
        d->restart_ms = clock_now_ms() + backoff_ms(d->failures);
        snprintf(d->reason, sizeof d->reason, "%s", reason);
        log_line(quarantined ? LOG_ERROR : LOG_WARN, "device %s: its worker was lost (%d in a row): %s%s",
                d->info.id, d->failures, reason, quarantined ? "; quarantined until cnnd is restarted" : "");
        if (d->failures == SUPERVISOR_FAILURES - 1)
                put_cache_aside(d);
        if (sv->hooks.lost)
                sv->hooks.lost(sv->hooks.ctx, d->index, reason, quarantined);
}

/* The front's own want of memory is not held against the device. */
static void worker_gone(void *ctx, struct child *c, int status, const char *why)
{
        struct device *d = ctx;
        char text[160];
        (void)status;
        if (c != d->worker)
                return;
        d->worker = NULL;
        snprintf(text, sizeof text, "the worker was %s", why);
        device_failed(d, text);
}

static void kill_worker(struct device *d, const char *why)
{
        snprintf(d->reason, sizeof d->reason, "%s", why);
        d->busy = false; /* once is enough */
        log_line(LOG_WARN, "device %s: killing its worker: %s", d->info.id, why);
        child_kill(d->worker);
}

static void heartbeat(struct device *d, const cJSON *head)
{
        const cJSON *map = json_field(head, "map");
        bool busy = cJSON_IsTrue(json_field(head, "busy"));
        double now = (double)wire_int(head, "progress");
        if (now != d->progress || !busy)
                d->moved_ms = d->heard_ms;
        d->progress = now;
        d->busy = busy;
        d->device_bytes = (double)wire_int(head, "device_bytes");
        d->map_done = wire_int(map, "done");
        d->map_windows = wire_int(map, "windows");
}

static void hello(struct device *d, cJSON *head)
{
        struct supervisor *sv = d->home;
        cJSON_Delete(d->selftest);
        d->selftest = cJSON_DetachItemFromObjectCaseSensitive(head, "selftest");
        d->state = DEVICE_READY;
        d->moved_ms = d->heard_ms;
        log_line(LOG_INFO, "device %s is ready: %s (%s)", d->info.id, d->info.name, d->info.platform);
        if (sv->hooks.ready)
                sv->hooks.ready(sv->hooks.ctx, d->index);
}

static int worker_message(void *ctx, struct child *c, struct chan_message *m)
{
        struct device *d = ctx;
        struct supervisor *sv = d->home;
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
        } else {
                d->moved_ms = d->heard_ms;
                if (sv->hooks.message)
                        return sv->hooks.message(sv->hooks.ctx, d->index, m);
        }
        return 0;
}

static int add_device(struct supervisor *sv, const cJSON *o, struct err *e)
{
        struct dev_info info;
        int rc = wire_device_read(o, &info, e);
        for (int i = 0; rc == 0 && i < sv->count; i++)
                if (strcmp(sv->devices[i].info.id, info.id) == 0)
                        rc = err_set(e, ERR_INVALID, "there are two of the id %s", info.id);
        if (rc || !dev_matches(&info, sv->device_spec) || sv->count == SUPERVISOR_MAX_DEVICES)
                return rc;
        struct device *d = &sv->devices[sv->count];
        *d = (struct device){.home = sv, .index = sv->count++, .info = info};
        start_worker(d);
        return 0;
}

static int probe_message(void *ctx, struct child *c, struct chan_message *m)
{
        struct supervisor *sv = ctx;
        struct err e = {0};
        const cJSON *list = json_field(m->head, "devices"), *item;
        if (c != sv->probe || sv->probed)
                return 0;
        if (!cJSON_IsArray(list)) {
                (void)wire_error_read(json_field(m->head, "error"), &e);
                snprintf(sv->problem, sizeof sv->problem, "looking for devices: %s", e.message);
                return 0;
        }
        cJSON_ArrayForEach(item, list)
        {
                if (add_device(sv, item, &e))
                        log_line(LOG_ERROR, "a device was left out: %s", e.message);
        }
        sv->probed = true;
        sv->problem[0] = '\0';
        if (sv->count == 0)
                snprintf(sv->problem, sizeof sv->problem,
                        "no OpenCL device matches '%s' (%d found): install a driver (Debian: "
                        "pocl-opencl-icd) or"
                        " choose another with --device, and restart cnnd",
                        sv->device_spec, cJSON_GetArraySize(list));
        if (sv->count == 0)
                log_line(LOG_ERROR, "%s", sv->problem);
        return 0;
}

static void probe_gone(void *ctx, struct child *c, int status, const char *why)
{
        struct supervisor *sv = ctx;
        (void)status;
        if (c != sv->probe)
                return;
        sv->probe = NULL;
        if (sv->probed)
                return;
        if (!sv->problem[0])
                snprintf(sv->problem, sizeof sv->problem,
                        "a driver failed when it was asked for its devices (the probe was %s)", why);
        log_line(LOG_ERROR, "%s", sv->problem);
        /* A driver that is being installed or a card that wakes up: look again, without end. */
        sv->probe_ms =
                clock_now_ms() + (sv->probes < SUPERVISOR_FAILURES ? backoff_ms(sv->probes) : PROBE_AGAIN_MS);
}

static int start_probe(struct supervisor *sv, struct err *e)
{
        const char *const args[] = {
                "--role", "probe", "--state", sv->state_dir, "--log", sv->log_level, NULL};
        const struct child_hooks hooks = {.ctx = sv, .message = probe_message, .gone = probe_gone};
        sv->probes++;
        sv->problem[0] = '\0';
        sv->probe_ms = clock_now_ms() + PROBE_TIMEOUT_MS;
        return child_start(sv->kids, args, &hooks, &sv->probe, e);
}

int supervisor_create(const struct supervisor_options *o, struct supervisor **ret, struct err *e)
{
        int rc = dev_check_spec(o->device_spec, e);
        if (rc)
                return rc;
        struct supervisor *sv = calloc(1, sizeof *sv);
        if (!sv)
                return err_set(e, ERR_NO_MEMORY, "no memory for the supervisor");
        sv->kids = o->kids;
        sv->watchdog_ms = (int64_t)(o->watchdog_seconds * 1000);
        sv->state_dir = strdup(o->state_dir);
        sv->device_spec = strdup(o->device_spec);
        sv->log_level = strdup(o->log_level);
        if (!sv->state_dir || !sv->device_spec || !sv->log_level)
                rc = err_set(e, ERR_NO_MEMORY, "no memory for the supervisor");
        if (rc == 0)
                rc = start_probe(sv, e);
        if (rc) {
                supervisor_destroy(sv);
                return rc;
        }
        *ret = sv;
        return 0;
}

void supervisor_destroy(struct supervisor *sv)
{
        if (!sv)
                return;
        for (int i = 0; i < sv->count; i++) {
                cJSON_Delete(sv->devices[i].selftest);
        }
        free(sv->state_dir);
        free(sv->device_spec);
        free(sv->log_level);
        free(sv);
}

void supervisor_set_hooks(struct supervisor *sv, const struct supervisor_hooks *hooks)
{
        sv->hooks = *hooks;
}

bool supervisor_probed(const struct supervisor *sv)
{
        return sv->probed;
}

const char *supervisor_problem(const struct supervisor *sv)
{
        return sv->problem;
}

int supervisor_count(const struct supervisor *sv)
{
        return sv->count;
}

const struct dev_info *supervisor_info(const struct supervisor *sv, int device)
{
        return &sv->devices[device].info;
}

enum device_state supervisor_state(const struct supervisor *sv, int device)
{
        return sv->devices[device].state;
}

bool supervisor_all_quarantined(const struct supervisor *sv)
{
        for (int i = 0; i < sv->count; i++)
                if (sv->devices[i].state != DEVICE_QUARANTINED)
                        return false;
        return sv->count > 0;
}

static const char *state_text(const struct device *d)
{
        if (d->state == DEVICE_QUARANTINED)
                return "quarantined";
        if (d->state == DEVICE_STARTING)
                return "starting";
        return d->job ? "busy" : "ready";
}

static cJSON *device_json(const struct device *d)
{
        cJSON *o = cJSON_CreateObject();
        if (!o)
                return NULL;
        cJSON_AddStringToObject(o, "id", d->info.id);
        cJSON_AddStringToObject(o, "name", d->info.name);
        cJSON_AddStringToObject(o, "vendor", d->info.vendor);
        cJSON_AddStringToObject(o, "driver", d->info.driver);
        cJSON_AddStringToObject(o, "version", d->info.version);
        cJSON_AddStringToObject(o, "platform", d->info.platform);
        cJSON_AddStringToObject(o, "type", dev_type_name(d->info.type));
        cJSON_AddNumberToObject(o, "memory", (double)d->info.global_bytes);
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

cJSON *supervisor_device_json(const struct supervisor *sv, int device)
{
        return device_json(&sv->devices[device]);
}

int supervisor_json(const struct supervisor *sv, cJSON **ret, struct err *e)
{
        cJSON *list = cJSON_CreateArray();
        if (!list)
                return err_set(e, ERR_NO_MEMORY, "no memory for the devices");
        for (int i = 0; i < sv->count; i++)
                json_push(list, device_json(&sv->devices[i]));
        *ret = list;
        return 0;
}

int supervisor_send(
        struct supervisor *sv, int device, const cJSON *head, const void *raw, size_t raw_len, struct err *e)
{
        struct device *d = &sv->devices[device];
        if (d->state != DEVICE_READY || !d->worker)
                return err_set(e, ERR_UNAVAILABLE, "device %s is not ready", d->info.id);
        /* What follows counts from now: the worker was idle until here. */
        if (!d->busy)
                d->moved_ms = clock_now_ms();
        return child_send(d->worker, head, raw, raw_len, e);
}

void supervisor_set_job(struct supervisor *sv, int device, int64_t job)
{
        note_job(&sv->devices[device], job);
}

double supervisor_busy_seconds(const struct supervisor *sv, int device, int64_t now_ms)
{
        const struct device *d = &sv->devices[device];
        return (double)(d->busy_ms + (d->job ? now_ms - d->busy_since_ms : 0)) / 1000;
}

double supervisor_used_bytes(const struct supervisor *sv, int device)
{
        return sv->devices[device].device_bytes;
}

int64_t supervisor_job(const struct supervisor *sv, int device)
{
        return sv->devices[device].job;
}

void supervisor_progress(struct supervisor *sv, int device)
{
        sv->devices[device].failures = 0;
}

static int64_t patience_ms(const struct device *d)
{
        return d->home->watchdog_ms * (d->state == DEVICE_STARTING ? STARTING_PATIENCE : 1);
}

/* When something is due for this device though nothing is heard. */
static int64_t due_ms(const struct device *d)
{
        if (d->state == DEVICE_QUARANTINED)
                return INT64_MAX;
        if (!d->worker)
                return d->restart_ms;
        int64_t lost = d->heard_ms + SUPERVISOR_HEARTBEAT_LOST_MS, stuck = d->moved_ms + patience_ms(d);
        return d->busy && stuck < lost ? stuck : lost;
}

static void device_tick(struct device *d, int64_t now_ms)
{
        char why[200];
        if (now_ms < due_ms(d))
                return;
        if (!d->worker) {
                start_worker(d);
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

void supervisor_tick(struct supervisor *sv, int64_t now_ms)
{
        struct err e;
        if (!sv->probed && now_ms >= sv->probe_ms) {
                if (sv->probe) {
                        snprintf(sv->problem, sizeof sv->problem,
                                "a driver hung for %d s when it was asked for its devices",
                                PROBE_TIMEOUT_MS / 1000);
                        sv->probe_ms = now_ms + PROBE_TIMEOUT_MS;
                        child_kill(sv->probe);
                } else if (start_probe(sv, &e)) {
                        log_line(LOG_ERROR, "%s", e.message);
                        sv->probe = NULL;
                        sv->probe_ms = now_ms + PROBE_AGAIN_MS;
                }
        }
        for (int i = 0; i < sv->count; i++)
                device_tick(&sv->devices[i], now_ms);
}

int supervisor_timeout_ms(const struct supervisor *sv, int64_t now_ms)
{
        int64_t due = sv->probed ? INT64_MAX : sv->probe_ms;
        for (int i = 0; i < sv->count; i++)
                if (due_ms(&sv->devices[i]) < due)
                        due = due_ms(&sv->devices[i]);
        if (due == INT64_MAX)
                return -1;
        int64_t left = due - now_ms;
        return left < 0 ? 0 : left > 3600000 ? 3600000 : (int)left;
}
