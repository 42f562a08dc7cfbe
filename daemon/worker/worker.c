#include "daemon/worker/worker.h"

#include "base/chan.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "daemon/common/children.h"
#include "daemon/devices/drivercache.h"
#include "daemon/worker/engine.h"
#include "daemon/worker/starved.h"
#include "daemon/common/wire.h"
#include "device/dev.h"
#include "device/launch.h"
#include "ops/selftest.h"
#include "train/early.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* A compiler that takes longer hangs, and ends by SIGALRM. */
enum { HEARTBEAT_MS = 1000, COMPILER_SECONDS = 300 };

struct worker {
        pthread_mutex_t send_lock; /* around whole messages; no other lock is taken under it */
        struct voice voice;
        struct engine *engine;
};

static int send_message(void *ctx, const cJSON *head, const void *raw, size_t raw_len, struct err *e)
{
        struct worker *w = ctx;
        pthread_mutex_lock(&w->send_lock);
        int rc = chan_send(CHILD_FD, head, raw, raw_len, e);
        pthread_mutex_unlock(&w->send_lock);
        return rc;
}

static int heartbeat(struct worker *w, const struct engine_pulse *p, int64_t starved, struct err *e)
{
        cJSON *head = voice_head("heartbeat", NULL, 0);
        cJSON_AddNumberToObject(head, "progress", (double)p->progress);
        cJSON_AddBoolToObject(head, "busy", p->busy);
        cJSON_AddBoolToObject(head, "compiling", p->compiling);
        cJSON_AddNumberToObject(head, "starved_ms", (double)starved);
        cJSON_AddNumberToObject(head, "device_bytes", (double)p->device_bytes);
        if (p->tells_free)
                cJSON_AddNumberToObject(head, "memory_free", (double)p->free_bytes);
        json_add(head, "map", wire_map_json(p->map_done, p->map_windows));
        return voice_say(&w->voice, head, NULL, 0, e);
}

/* Waits for a command until `until_ms`; 0 when there was none in time. */
static int serve(struct worker *w, int64_t until_ms, struct err *e)
{
        struct pollfd p = {.fd = CHILD_FD, .events = POLLIN};
        struct chan_message m = {0};
        int64_t left = until_ms - clock_now_ms();
        int n = poll(&p, 1, left > 0 ? (int)left : 0);
        if (n < 0 && errno != EINTR)
                return err_errno(e, errno, "poll");
        if (n <= 0)
                return 0;
        int rc = chan_receive(CHILD_FD, &m, e);
        if (rc == 0)
                rc = engine_post(w->engine, &m, e);
        chan_message_finish(&m);
        return rc;
}

/* May take long on a slow disk: the engine's thread does it, while the heart beats. */
static void trim_cache(const char *device, const char *state_dir)
{
        struct err e;
        uint64_t freed = 0;
        if (drivercache_trim(state_dir, device, DRIVERCACHE_MOST, &freed, &e))
                log_line(LOG_WARN, "%s", e.message);
        else if (freed)
                log_line(LOG_INFO, "what was compiled took %llu bytes: it is made anew",
                        (unsigned long long)freed);
}

int worker_main(const char *device, const char *uuid, const char *state_dir, struct err *e)
{
        struct worker w = {.send_lock = PTHREAD_MUTEX_INITIALIZER, .voice = {send_message, &w}};
        const struct engine_options options = {.device = device,
                .uuid = uuid,
                .state_dir = state_dir,
                .voice = w.voice,
                .prepare = trim_cache};
        file_guard_maps(CHILD_UNREADABLE);
        int rc = drivercache_use(state_dir, device, e);
        if (rc == 0)
                rc = engine_start(&options, &w.engine, e);
        if (rc)
                return rc;
        int64_t next = clock_now_ms();
        struct starved starved = {0};
        while (rc == 0) {
                struct engine_pulse pulse;
                engine_pulse(w.engine, &pulse);
                if (clock_now_ms() >= next) {
                        next = clock_now_ms() + HEARTBEAT_MS;
                        rc = heartbeat(&w, &pulse, starved_ms(&starved), e);
                }
                if (rc == 0)
                        rc = serve(&w, next, e);
        }
        if (rc && rc != ERR_CLOSED)
                log_line(LOG_ERROR, "%s", e->message);
        /* Not exit: the engine thread may be inside the driver, whose exit handlers would wait for it. */
        _exit(rc == ERR_CLOSED ? 0 : 1);
}

int worker_compile(const char *device, const char *state_dir, struct err *e)
{
        struct dev *d = NULL;
        char cache[PATH_MAX];
        snprintf(cache, sizeof cache, "%s/cache", state_dir);
        const struct dev_options options = {.cache_dir = cache};
        int rc = drivercache_use(state_dir, device, e);
        if (rc == 0)
                rc = dev_open(device, &options, &d, e);
        alarm(COMPILER_SECONDS);
        if (rc == 0)
                rc = early_compile(d, e);
        if (rc == 0)
                rc = selftest_compile(d, e);
        if (rc == 0)
                rc = prog_save(d, e);
        dev_close(d);
        return rc;
}
