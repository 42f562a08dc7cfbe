#include "daemon/devices/supervisor.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "daemon/devices/device.h"
#include "daemon/devices/probe.h"
#include "daemon/common/wire.h"
#include "device/vendors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* At most so long a device waits for the other drivers' answers: they may show a better one, or the same
 * hardware. */
enum { OTHERS_MS = 5000 };

struct found {
        const struct probe *probe;
        struct dev_info info;
};

struct supervisor {
        struct supervisor_options options; /* its strings are owned */
        struct supervisor_hooks hooks;
        struct vendors drivers;
        struct probe probes[VENDORS_MAX]; /* children point to them, as to the devices */
        struct device devices[SUPERVISOR_MAX_DEVICES];
        struct found waiting[SUPERVISOR_MAX_DEVICES];
        int num_probes, count, num_waiting;
        int64_t choose_ms; /* until then they wait */
        char problem[1000];
};

/* The device that is used already and is the same hardware, by another driver. Parts of one card by one
   driver, as MIG makes them, are devices of their own. */
static const struct device *same_hardware(const struct supervisor *sv, const struct dev_info *info)
{
        for (int i = 0; i < sv->count; i++) {
                const struct dev_info *other = &sv->devices[i].info;
                if (info->card[0] && strcmp(other->card, info->card) == 0 &&
                        atoi(other->id) != atoi(info->id))
                        return &sv->devices[i];
        }
        return NULL;
}

static void use_device(struct supervisor *sv, const struct found *f)
{
        const struct device *same = same_hardware(sv, &f->info);
        if (same)
                log_line(LOG_WARN,
                        "device %s (%s) is left out: another driver shows the same hardware as device %s "
                        "(%s); "
                        "--device chooses",
                        f->info.id, f->info.platform, same->info.id, same->info.platform);
        if (same || sv->count == SUPERVISOR_MAX_DEVICES)
                return;
        struct device *d = &sv->devices[sv->count];
        *d = (struct device){.options = &sv->options,
                .hooks = &sv->hooks,
                .driver = f->probe->driver,
                .index = sv->count++,
                .info = f->info};
        device_start(d);
}

static int add_device(struct supervisor *sv, const struct probe *p, const cJSON *o, struct err *e)
{
        struct found f = {.probe = p};
        int rc = wire_device_read(o, &f.info, e);
        for (int i = 0; rc == 0 && i < sv->count + sv->num_waiting; i++) {
                const struct dev_info *other =
                        i < sv->count ? &sv->devices[i].info : &sv->waiting[i - sv->count].info;
                if (strcmp(other->id, f.info.id) == 0)
                        rc = err_set(e, ERR_INVALID, "there are two of the id %s", f.info.id);
        }
        if (rc || !dev_matches(&f.info, sv->options.device_spec))
                return rc;
        if (sv->num_waiting < SUPERVISOR_MAX_DEVICES)
                sv->waiting[sv->num_waiting++] = f;
        return 0;
}

/* In the order of their numbers. */
static int by_number(const struct dev_info *a, const struct dev_info *b)
{
        int platform[2] = {0}, place[2] = {0};
        sscanf(a->id, "%d:%d", &platform[0], &place[0]);
        sscanf(b->id, "%d:%d", &platform[1], &place[1]);
        return platform[0] != platform[1] ? platform[0] - platform[1] : place[0] - place[1];
}

/* In the order in which they get work: GPUs first, and those of vendors' own drivers. */
static int by_worth(const void *a, const void *b)
{
        const struct dev_info *x = &((const struct found *)a)->info, *y = &((const struct found *)b)->info;
        if ((x->type == DEV_GPU) != (y->type == DEV_GPU))
                return x->type == DEV_GPU ? -1 : 1;
        return x->generic != y->generic ? (int)x->generic - (int)y->generic : by_number(x, y);
}

static void use_waiting(struct supervisor *sv, int64_t now_ms)
{
        if (supervisor_looking(sv) && now_ms < sv->choose_ms)
                return;
        qsort(sv->waiting, (size_t)sv->num_waiting, sizeof sv->waiting[0], by_worth);
        for (int i = 0; i < sv->num_waiting; i++)
                use_device(sv, &sv->waiting[i]);
        sv->num_waiting = 0;
}

bool supervisor_looking(const struct supervisor *sv)
{
        for (int i = 0; i < sv->num_probes; i++)
                if (sv->probes[i].state == PROBE_LOOKING)
                        return true;
        return false;
}

/* What keeps it from having any device, once every driver has been asked. */
static void note_problem(void *ctx)
{
        struct supervisor *sv = ctx;
        int found = 0;
        const struct probe *failed = NULL;
        sv->problem[0] = '\0';
        for (int i = 0; i < sv->num_probes; i++) {
                found += sv->probes[i].devices;
                if (sv->probes[i].state == PROBE_FAILED && !failed)
                        failed = &sv->probes[i];
        }
        if (sv->count || supervisor_looking(sv))
                return;
        if (failed)
                snprintf(sv->problem, sizeof sv->problem, "OpenCL driver%s%s: %s",
                        failed->driver[0] ? " " : "", failed->driver, failed->reason);
        else
                snprintf(sv->problem, sizeof sv->problem,
                        "no OpenCL device matches '%s' (%d found): install a driver (Debian: "
                        "pocl-opencl-icd) or choose another with --device, and restart cnnd",
                        sv->options.device_spec, found);
}

static void probe_found(void *ctx, const struct probe *p, const cJSON *devices)
{
        struct supervisor *sv = ctx;
        struct err e;
        const cJSON *item;
        cJSON_ArrayForEach(item, devices)
        {
                if (add_device(sv, p, item, &e))
                        log_line(LOG_ERROR, "a device was left out: %s", e.message);
        }
        use_waiting(sv, clock_now_ms());
        note_problem(sv);
        if (sv->problem[0])
                log_line(LOG_ERROR, "%s", sv->problem);
}

static void probe_failed(void *ctx)
{
        use_waiting(ctx, clock_now_ms());
        note_problem(ctx);
}

/* One for each driver; where there is no list of them, one for all. */
static int start_probes(struct supervisor *sv, struct err *e)
{
        int rc = vendors_find(&sv->drivers, e);
        sv->num_probes = sv->drivers.count ? sv->drivers.count : 1;
        for (int i = 0; i < sv->num_probes && rc == 0; i++) {
                sv->probes[i] = (struct probe){.options = &sv->options,
                        .driver = sv->drivers.count ? sv->drivers.file[i] : "",
                        .platform = i,
                        .ctx = sv,
                        .found = probe_found,
                        .failed = probe_failed};
                rc = probe_start(&sv->probes[i], e);
        }
        return rc;
}

int supervisor_create(const struct supervisor_options *o, struct supervisor **ret, struct err *e)
{
        int rc = dev_check_spec(o->device_spec, e);
        if (rc)
                return rc;
        struct supervisor *sv = calloc(1, sizeof *sv);
        if (!sv)
                return err_set(e, ERR_NO_MEMORY, "no memory for the supervisor");
        char *state_dir = strdup(o->state_dir), *device_spec = strdup(o->device_spec),
             *log_level = strdup(o->log_level);
        sv->options = *o;
        sv->choose_ms = clock_now_ms() + OTHERS_MS;
        sv->options.state_dir = state_dir;
        sv->options.device_spec = device_spec;
        sv->options.log_level = log_level;
        if (!state_dir || !device_spec || !log_level)
                rc = err_set(e, ERR_NO_MEMORY, "no memory for the supervisor");
        if (rc == 0)
                rc = start_probes(sv, e);
        if (rc) {
                supervisor_destroy(sv);
                return rc;
        }
        *ret = sv;
        return 0;
}

static void drop(const char *text)
{
        free((char *)(uintptr_t)text);
}

void supervisor_destroy(struct supervisor *sv)
{
        if (!sv)
                return;
        for (int i = 0; i < sv->count; i++)
                device_finish(&sv->devices[i]);
        vendors_finish(&sv->drivers);
        drop(sv->options.state_dir);
        drop(sv->options.device_spec);
        drop(sv->options.log_level);
        free(sv);
}

void supervisor_set_hooks(struct supervisor *sv, const struct supervisor_hooks *hooks)
{
        sv->hooks = *hooks;
}

bool supervisor_probed(const struct supervisor *sv)
{
        for (int i = 0; i < sv->count; i++)
                if (sv->devices[i].state == DEVICE_READY)
                        return true;
        return !supervisor_looking(sv);
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

bool supervisor_yields(const struct supervisor *sv, int device)
{
        for (int i = 0; i < sv->count && sv->devices[device].info.type != DEV_GPU; i++) {
                const struct device *d = &sv->devices[i];
                if (d->info.type == DEV_GPU && d->state == DEVICE_STARTING && d->worker && !d->failures &&
                        !d->waits)
                        return true;
        }
        return false;
}

uint64_t supervisor_room(const struct supervisor *sv, int device)
{
        return device_room(&sv->devices[device]);
}

bool supervisor_all_quarantined(const struct supervisor *sv)
{
        for (int i = 0; i < sv->count; i++)
                if (sv->devices[i].state != DEVICE_QUARANTINED)
                        return false;
        return sv->count > 0;
}

cJSON *supervisor_device_json(const struct supervisor *sv, int device)
{
        return device_json(&sv->devices[device]);
}

/* Drivers answer in any order, and are listed in that of their numbers. */
cJSON *supervisor_json(const struct supervisor *sv)
{
        const struct device *order[SUPERVISOR_MAX_DEVICES];
        cJSON *list = cJSON_CreateArray();
        for (int i = 0; i < sv->count; i++) {
                int at = i;
                for (; at > 0 && by_number(&sv->devices[i].info, &order[at - 1]->info) < 0; at--)
                        order[at] = order[at - 1];
                order[at] = &sv->devices[i];
        }
        for (int i = 0; i < sv->count; i++)
                json_push(list, device_json(order[i]));
        return list;
}

cJSON *supervisor_platforms(const struct supervisor *sv)
{
        cJSON *list = cJSON_CreateArray();
        for (int i = 0; i < sv->num_probes; i++)
                json_push(list, probe_json(&sv->probes[i]));
        return list;
}

int supervisor_send(
        struct supervisor *sv, int device, const cJSON *head, const void *raw, size_t raw_len, struct err *e)
{
        return device_send(&sv->devices[device], head, raw, raw_len, e);
}

void supervisor_set_job(struct supervisor *sv, int device, int64_t job)
{
        device_set_job(&sv->devices[device], job);
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

void supervisor_end_worker(struct supervisor *sv, int device, const char *why)
{
        device_end_worker(&sv->devices[device], why);
}

void supervisor_progress(struct supervisor *sv, int device)
{
        sv->devices[device].failures = 0;
}

void supervisor_again(struct supervisor *sv)
{
        for (int i = 0; i < sv->num_probes; i++)
                probe_again(&sv->probes[i]);
        for (int i = 0; i < sv->count; i++)
                device_again(&sv->devices[i]);
}

void supervisor_tick(struct supervisor *sv, int64_t now_ms)
{
        for (int i = 0; i < sv->num_probes; i++)
                probe_tick(&sv->probes[i], sv->count == 0, now_ms);
        if (sv->num_waiting)
                use_waiting(sv, now_ms);
        for (int i = 0; i < sv->count; i++)
                device_tick(&sv->devices[i], now_ms);
}

static int64_t sooner(int64_t a, int64_t b)
{
        return a < b ? a : b;
}

int supervisor_timeout_ms(const struct supervisor *sv, int64_t now_ms)
{
        int64_t due = sv->num_waiting ? sv->choose_ms : INT64_MAX;
        for (int i = 0; i < sv->num_probes; i++)
                due = sooner(due, probe_due_ms(&sv->probes[i], sv->count == 0));
        for (int i = 0; i < sv->count; i++)
                due = sooner(due, device_due_ms(&sv->devices[i]));
        if (due == INT64_MAX)
                return -1;
        int64_t left = due - now_ms;
        return left < 0 ? 0 : left > 3600000 ? 3600000 : (int)left;
}
