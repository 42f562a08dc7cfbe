#include "daemon/devices/second.h"

#include "base/json.h"
#include "base/log.h"
#include "daemon/devices/device.h"
#include "daemon/devices/drivercache.h"

static void keep_next(struct device *d);

static int message(void *ctx, struct child *c, struct chan_message *m)
{
        (void)ctx;
        (void)c;
        (void)m;
        return 0;
}

static void gone(void *ctx, struct child *c, int status, const char *why)
{
        struct device *d = ctx;
        if (c != d->second.child)
                return;
        if (status)
                log_line(LOG_DEBUG, "device %s: the process that %s %s", d->info.id,
                        d->second.keeps ? "keeps what was compiled" : "compiles beside its worker", why);
        d->second.child = NULL;
        keep_next(d);
}

static int start(struct device *d, const char *role, struct err *e)
{
        const char *const args[] = {"--role", role, "--device", d->info.id, "--state", d->options->state_dir,
                "--log", d->options->log_level, d->driver[0] ? "--driver" : NULL, d->driver, NULL};
        const struct child_hooks hooks = {.ctx = d, .message = message, .gone = gone};
        return child_start(d->options->kids, args, &hooks, &d->second.child, e);
}

void second_compile(struct device *d)
{
        struct err e;
        if (d->second.child || d->info.type != DEV_CPU || d->info.compute_units < 2 ||
                !drivercache_empty(d->options->state_dir, d->info.id))
                return;
        d->second.keeps = false;
        if (start(d, "compiler", &e))
                log_line(LOG_DEBUG, "device %s compiles alone: %s", d->info.id, e.message);
}

/* What cannot be handed over is compiled again at the next start. */
static void keep_next(struct device *d)
{
        struct err e;
        if (d->second.child || !d->second.unkept)
                return;
        cJSON *head = cJSON_CreateObject();
        json_add(head, "programs", d->second.unkept);
        d->second.unkept = NULL;
        d->second.keeps = true;
        int rc = head ? start(d, "keeper", &e) : err_set(&e, ERR_NO_MEMORY, "no memory for a message");
        if (rc == 0)
                rc = child_send(d->second.child, head, NULL, 0, &e);
        if (rc == 0)
                log_line(LOG_DEBUG, "device %s: %d programs are kept", d->info.id,
                        cJSON_GetArraySize(json_field(head, "programs")));
        if (rc) {
                log_line(LOG_WARN, "device %s: what was compiled is not kept: %s", d->info.id, e.message);
                second_close(d); /* it would wait for its command */
        }
        cJSON_Delete(head);
}

void second_keep(struct device *d, cJSON *programs)
{
        cJSON *one;
        if (!d->second.unkept)
                d->second.unkept = cJSON_CreateArray();
        while ((one = cJSON_DetachItemFromArray(programs, 0)) != NULL)
                json_push(d->second.unkept, one);
        cJSON_Delete(programs);
        keep_next(d);
}

void second_close(struct device *d)
{
        if (d->second.child)
                child_close(d->second.child);
}

void second_finish(struct device *d)
{
        cJSON_Delete(d->second.unkept);
}
