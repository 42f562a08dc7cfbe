#include "daemon/api/service.h"

#include "base/clock.h"
#include "base/json.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* From now on everybody waits while the database does. */
enum { PATIENCE_MS = 50 };
enum { LOCK_WAIT_MS = 5000, LOCK_STEP_MS = 20 };

static int make_dir(const char *path, struct err *e)
{
        if (mkdir(path, 0700) == 0 || errno == EEXIST)
                return 0;
        return err_errno(e, errno, "%s", path);
}

/* The folder with all missing parents, and what belongs inside. */
static int make_folders(const char *state_dir, struct err *e)
{
        static const char *const inside[] = {"jobs", "models", "datasets", "cache", "tmp"};
        char path[PATH_MAX];
        int rc = 0;
        if (snprintf(path, sizeof path, "%s", state_dir) >= (int)sizeof path - 16)
                return err_set(e, ERR_INVALID, "the state folder's path is too long");
        for (char *slash = strchr(path + 1, '/'); rc == 0 && slash; slash = strchr(slash + 1, '/')) {
                *slash = '\0';
                rc = make_dir(path, e);
                *slash = '/';
        }
        if (rc == 0)
                rc = make_dir(path, e);
        for (size_t i = 0; rc == 0 && i < sizeof inside / sizeof inside[0]; i++) {
                snprintf(path, sizeof path, "%s/%s", state_dir, inside[i]);
                rc = make_dir(path, e);
        }
        return rc;
}

static void empty_tmp(const char *state_dir)
{
        char path[PATH_MAX];
        const struct dirent *file;
        snprintf(path, sizeof path, "%s/tmp", state_dir);
        DIR *dir = opendir(path);
        while (dir && (file = readdir(dir)) != NULL)
                if (file->d_name[0] != '.' || strncmp(file->d_name, ".new-", 5) == 0)
                        unlinkat(dirfd(dir), file->d_name, 0);
        if (dir)
                closedir(dir);
}

static int lock(const char *state_dir, int *ret, struct err *e)
{
        char path[PATH_MAX];
        snprintf(path, sizeof path, "%s/lock", state_dir);
        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (fd < 0)
                return err_errno(e, errno, "%s", path);
        for (int64_t end = clock_now_ms() + LOCK_WAIT_MS; flock(fd, LOCK_EX | LOCK_NB) != 0;) {
                if ((errno != EWOULDBLOCK && errno != EINTR) || clock_now_ms() >= end) {
                        close(fd);
                        return err_set(e, ERR_STATE,
                                "another cnnd uses the state folder %s, or a process of one that was killed "
                                "has "
                                "not ended (ps -C cnnd-worker)",
                                state_dir);
                }
                nanosleep(&(struct timespec){.tv_nsec = LOCK_STEP_MS * 1000000L}, NULL);
        }
        *ret = fd;
        return 0;
}

static void device_ready(void *ctx)
{
        struct service *s = ctx;
        s->was_ready = true; /* the ticks of this turn look for work */
}

static int device_message(void *ctx, int device, struct chan_message *m)
{
        struct service *s = ctx;
        if (!json_field(m->head, "request"))
                return sched_message(s->sched, device, m);
        classify_answer(s->classify, device, m);
        return 0;
}

static void device_lost(void *ctx, int device, const char *why, bool unread)
{
        struct service *s = ctx;
        sched_lost(s->sched, device, why, unread);
        classify_lost(s->classify, device);
}

static int start_parts(struct service *s, const struct service_options *o, struct err *e)
{
        char path[PATH_MAX];
        snprintf(path, sizeof path, "%s/cnnd.db", s->state_dir);
        int rc = store_open(path, &s->store, e);
        if (rc == 0 && !(s->reserve = reserve_create(s->state_dir)))
                rc = err_set(e, ERR_NO_MEMORY, "no memory for a path");
        if (rc == 0 && !(s->quota = quota_create(&o->limits, s->store)))
                rc = err_set(e, ERR_NO_MEMORY, "no memory for quotas");
        if (rc == 0)
                rc = children_create(s->lock_fd, &s->kids, e);
        if (rc == 0 && !(s->carries = carries_create(s->kids)))
                rc = err_set(e, ERR_NO_MEMORY, "no memory for copies");
        if (rc == 0 && !(s->decode = decode_create(s->state_dir, s->kids)))
                rc = err_set(e, ERR_NO_MEMORY, "no memory for the decoder");
        if (rc == 0)
                rc = datasets_create(s->state_dir, s->kids, s->store, &s->datasets, e);
        if (rc == 0 &&
                !(s->imports = imports_create(s->state_dir, s->kids, s->carries, s->datasets, s->quota)))
                rc = err_set(e, ERR_NO_MEMORY, "no memory for imports");
        if (rc == 0)
                rc = models_create(s->state_dir, s->store, s->quota, s->decode, s->carries, &s->models, e);
        const struct supervisor_options so = {.state_dir = s->state_dir,
                .device_spec = o->device_spec,
                .log_level = o->log_level,
                .watchdog_seconds = o->watchdog_seconds,
                .kids = s->kids};
        if (rc == 0)
                rc = supervisor_create(&so, &s->supervisor, e);
        const struct jobs_options jo = {.state_dir = s->state_dir,
                .store = s->store,
                .quota = s->quota,
                .datasets = s->datasets,
                .models = s->models,
                .supervisor = s->supervisor,
                .carries = s->carries,
                .reserve = s->reserve,
                .slice_seconds = o->slice_seconds,
                .half_life_seconds = o->half_life_seconds};
        if (rc == 0)
                rc = jobs_create(&jo, &s->jobs, e);
        if (rc == 0 &&
                !(s->sched = sched_create(s->jobs, s->supervisor, o->checkpoint_seconds, o->slice_seconds)))
                rc = err_set(e, ERR_NO_MEMORY, "no memory for the scheduler");
        if (rc == 0 && !(s->classify = classify_create(&o->batch, s->models, s->decode, s->supervisor)))
                rc = err_set(e, ERR_NO_MEMORY, "no memory for classifications");
        return rc;
}

int service_create(const struct service_options *o, struct service **ret, struct err *e)
{
        struct service *s = calloc(1, sizeof *s);
        if (!s)
                return err_set(e, ERR_NO_MEMORY, "no memory for the service");
        s->lock_fd = -1;
        s->state_dir = strdup(o->state_dir);
        int rc = s->state_dir ? make_folders(s->state_dir, e)
                              : err_set(e, ERR_NO_MEMORY, "no memory for a path");
        if (rc == 0)
                rc = lock(s->state_dir, &s->lock_fd, e);
        if (rc == 0) {
                empty_tmp(s->state_dir);
                rc = start_parts(s, o, e);
        }
        if (rc) {
                service_destroy(s);
                return rc;
        }
        const struct supervisor_hooks hooks = {
                .ctx = s, .ready = device_ready, .message = device_message, .lost = device_lost};
        supervisor_set_hooks(s->supervisor, &hooks);
        store_set_patience(s->store, PATIENCE_MS);
        *ret = s;
        return 0;
}

void service_destroy(struct service *s)
{
        if (!s)
                return;
        children_destroy(s->kids); /* first: no hook runs after this */
        classify_destroy(s->classify);
        sched_destroy(s->sched);
        jobs_destroy(s->jobs);
        supervisor_destroy(s->supervisor);
        models_destroy(s->models);
        imports_destroy(s->imports);
        datasets_destroy(s->datasets);
        decode_destroy(s->decode);
        carries_destroy(s->carries);
        quota_destroy(s->quota);
        reserve_destroy(s->reserve);
        store_close(s->store);
        if (s->lock_fd >= 0)
                close(s->lock_fd);
        free(s->state_dir);
        free(s);
}

int service_fd(const struct service *s)
{
        return children_fd(s->kids);
}

int64_t service_timeout_us(const struct service *s)
{
        int64_t now = clock_now_ms(), least = classify_timeout_us(s->classify, clock_now_us());
        const int due[] = {children_timeout_ms(s->kids), decode_timeout_ms(s->decode, now),
                supervisor_timeout_ms(s->supervisor, now), sched_timeout_ms(s->sched, now),
                imports_timeout_ms(s->imports), datasets_timeout_ms(s->datasets, now),
                jobs_sweeping(s->jobs) ? 0 : -1};
        for (size_t i = 0; i < sizeof due / sizeof due[0]; i++)
                if (due[i] >= 0 && (least < 0 || due[i] * (int64_t)1000 < least))
                        least = due[i] * (int64_t)1000;
        return least;
}

void service_run(struct service *s)
{
        children_run(s->kids);
        json_begin();
        int64_t now = clock_now_ms();
        decode_tick(s->decode, now);
        imports_tick(s->imports);
        datasets_tick(s->datasets, now);
        supervisor_tick(s->supervisor, now);
        classify_tick(s->classify, now);
        sched_tick(s->sched, now);
        jobs_sweep(s->jobs);
        reserve_tick(s->reserve, now);
}

int service_health(const struct service *s, struct err *e)
{
        if (s->draining)
                return err_set(e, ERR_UNAVAILABLE, "draining");
        if (supervisor_problem(s->supervisor)[0])
                return err_set(e, ERR_UNAVAILABLE, "%s", supervisor_problem(s->supervisor));
        if (!supervisor_probed(s->supervisor))
                return err_set(e, ERR_UNAVAILABLE, "starting: the devices are being looked for");
        if (supervisor_all_quarantined(s->supervisor))
                return err_set(e, ERR_UNAVAILABLE, "all devices are quarantined: see GET /v1/devices");
        if (!s->was_ready)
                return err_set(e, ERR_UNAVAILABLE, "starting: the devices are being opened and tested");
        if (datasets_importing(s->datasets))
                return err_set(e, ERR_UNAVAILABLE, "starting: data sets are being imported");
        return 0;
}

void service_drain(struct service *s)
{
        s->draining = true;
        jobs_drain(s->jobs);
        sched_drain(s->sched);
}

bool service_drained(const struct service *s)
{
        return sched_idle(s->sched);
}
