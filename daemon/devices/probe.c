#include "daemon/devices/probe.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "daemon/devices/device.h"
#include "daemon/common/wire.h"

#include <stdio.h>

/* The longest that a driver may take. */
enum { PATIENCE_MS = 60000 };
/* Between two looks, when the first few have failed. */
enum { AGAIN_MS = 600000, URGENT_AGAIN_MS = 30000 };

static int64_t patience_ms(const struct probe *p)
{
        double ms = p->options->watchdog_seconds * 1000 * SUPERVISOR_STARTING_PATIENCE;
        return ms < PATIENCE_MS ? (int64_t)ms : PATIENCE_MS;
}

static int probe_message(void *ctx, struct child *c, struct chan_message *m)
{
        struct probe *p = ctx;
        struct err e = {0};
        const cJSON *list = json_field(m->head, "devices");
        if (c != p->child || p->devices)
                return 0;
        if (!cJSON_IsArray(list)) {
                (void)wire_error_read(json_field(m->head, "error"), &e);
                snprintf(p->reason, sizeof p->reason, "asked for its devices: %s", e.message);
                p->told = true;
                return 0;
        }
        const bool still_none = p->state == PROBE_FOUND && cJSON_GetArraySize(list) == 0;
        p->state = PROBE_FOUND;
        p->devices = cJSON_GetArraySize(list);
        p->reason[0] = '\0';
        if (!still_none)
                p->found(p->ctx, p, list);
        child_close(c); /* a driver may hang at its process's end, too */
        return 0;
}

static void probe_gone(void *ctx, struct child *c, int status, const char *why)
{
        struct probe *p = ctx;
        (void)status;
        if (c != p->child)
                return;
        p->child = NULL;
        p->due_ms = clock_now_ms();
        if (p->state == PROBE_FOUND)
                return;
        if (!p->told)
                snprintf(p->reason, sizeof p->reason,
                        "it failed when it was asked for its devices (the process was %s)", why);
        p->state = PROBE_FAILED;
        log_line(p->tries <= SUPERVISOR_FAILURES ? LOG_ERROR : LOG_DEBUG, "OpenCL driver%s%s: %s",
                p->driver[0] ? " " : "", p->driver, p->reason);
        p->failed(p->ctx);
}

int probe_start(struct probe *p, struct err *e)
{
        char platform[16];
        const struct supervisor_options *o = p->options;
        const char *const args[] = {"--role", "probe", "--state", o->state_dir, "--log", o->log_level,
                p->driver[0] ? "--driver" : NULL, p->driver, "--platform", platform, NULL};
        const struct child_hooks hooks = {.ctx = p, .message = probe_message, .gone = probe_gone};
        snprintf(platform, sizeof platform, "%d", p->platform);
        int rc = child_start(o->kids, args, &hooks, &p->child, e);
        if (rc)
                return rc;
        p->tries++;
        p->told = p->at_once = false;
        p->due_ms = clock_now_ms() + patience_ms(p);
        return 0;
}

cJSON *probe_json(const struct probe *p)
{
        static const char *const states[] = {"looking", "found", "failed"};
        const bool named = p->driver[0];
        cJSON *o = cJSON_CreateObject();
        json_add(o, "platform", named ? cJSON_CreateNumber(p->platform) : cJSON_CreateNull());
        json_add(o, "driver", named ? cJSON_CreateString(p->driver) : cJSON_CreateNull());
        cJSON_AddStringToObject(o, "state", states[p->state]);
        cJSON_AddNumberToObject(o, "devices", p->devices);
        json_add(o, "reason", p->reason[0] ? cJSON_CreateString(p->reason) : cJSON_CreateNull());
        return o;
}

int64_t probe_due_ms(const struct probe *p, bool urgent)
{
        const bool soon = p->state == PROBE_FAILED && p->tries < SUPERVISOR_FAILURES;
        if (p->devices)
                return INT64_MAX;
        if (p->child || p->at_once)
                return p->due_ms;
        int64_t again = soon ? device_backoff_ms(p->tries) : AGAIN_MS;
        return p->due_ms + (urgent && again > URGENT_AGAIN_MS ? URGENT_AGAIN_MS : again);
}

void probe_again(struct probe *p)
{
        p->at_once = !p->child;
}

void probe_tick(struct probe *p, bool urgent, int64_t now_ms)
{
        struct err e;
        if (now_ms < probe_due_ms(p, urgent))
                return;
        if (p->child) {
                snprintf(p->reason, sizeof p->reason, "it hung for %lld s when it was asked for its devices",
                        (long long)patience_ms(p) / 1000);
                p->told = true;
                p->due_ms = now_ms + PATIENCE_MS; /* the death itself takes a moment to be seen */
                child_kill(p->child);
        } else if (probe_start(p, &e)) {
                log_line(LOG_ERROR, "%s", e.message);
                p->due_ms = now_ms; /* and on it goes after the same pause */
        }
}
