#include "daemon/jobfolder.h"

#include "base/log.h"
#include "daemon/clock.h"
#include "daemon/jobcore.h"
#include "daemon/twin.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* So long may a piece of the sweep keep everybody waiting. */
enum { SWEEP_US = 2000 };

static const char weights[] = "/init.safetensors";

char *jobfolder_path(const struct jobs *js, int64_t id, const char *file)
{
        char *path = NULL;
        return asprintf(&path, "%s/jobs/%lld%s", js->state_dir, (long long)id, file) < 0 ? NULL : path;
}

int jobfolder_make(const struct jobs *js, int64_t id, const char *model, struct err *e)
{
        char *dir = jobfolder_path(js, id, ""), *init = jobfolder_path(js, id, weights);
        char *from = model[0] ? models_path(js->models, model) : NULL;
        int rc = 0;
        if (!dir || !init || (model[0] && !from))
                rc = err_set(e, ERR_NO_MEMORY, "no memory for a path");
        else if (mkdir(dir, 0700) != 0 && errno != EEXIST)
                rc = err_errno(e, errno, "%s", dir);
        else if (unlink(init) != 0 && errno != ENOENT)
                rc = err_errno(e, errno, "%s", init);
        else if (from)
                rc = twin_make(from, init, model, e);
        free(dir);
        free(init);
        free(from);
        return rc;
}

int jobfolder_weights(const struct jobs *js, int64_t id, char **ret, struct err *e)
{
        char *path = jobfolder_path(js, id, weights);
        if (!path)
                return err_set(e, ERR_NO_MEMORY, "no memory for a path");
        if (access(path, R_OK) != 0) {
                free(path);
                path = NULL;
        }
        *ret = path;
        return 0;
}

/* The one file that stays, "" for none: a classify job's result is asked for. Weights of a job that failed
   are those of a whole run that could not be stored as a model: an operator may still want them. */
static const char *kept(enum job_state state)
{
        return state == JOB_SUCCEEDED ? "result.json" : state == JOB_FAILED ? "model.safetensors" : "";
}

static void empty(const char *path, const char *but)
{
        const struct dirent *file;
        DIR *dir = opendir(path);
        if (!dir)
                return;
        while ((file = readdir(dir)) != NULL)
                if (strcmp(file->d_name, but) != 0)
                        unlinkat(dirfd(dir), file->d_name, 0); /* . and .. are no files */
        closedir(dir);
        rmdir(path);
}

void jobfolder_tidy(const struct jobs *js, int64_t id, enum job_state state)
{
        char *path = job_state_final(state) ? jobfolder_path(js, id, "") : NULL;
        if (path)
                empty(path, kept(state));
        free(path);
}

/* A folder without a job is of a submission that was not committed: nobody asks for anything of it. */
static int state_of(const struct jobs *js, int64_t id, enum job_state *ret, struct err *e)
{
        sqlite3_stmt *st;
        int rc = store_prepare(js->home.store, "SELECT state FROM jobs WHERE id = ?", &st, e);
        if (rc)
                return rc;
        store_bind_int(st, 1, id);
        rc = store_step(js->home.store, st, e);
        if (rc < 0)
                return rc;
        int state = rc > 0 ? job_state_parse(store_text(st, 0)) : JOB_CANCELLED;
        *ret = state < 0 ? JOB_QUEUED : (enum job_state)state;
        return store_done(js->home.store, st, 0, e);
}

static int sweep_one(const struct jobs *js, const char *name, struct err *e)
{
        char *end;
        enum job_state state = JOB_QUEUED;
        int64_t id = strtoll(name, &end, 10);
        int rc = id > 0 && !*end ? state_of(js, id, &state, e) : 0;
        if (rc == 0)
                jobfolder_tidy(js, id, state);
        return rc;
}

void jobfolder_sweep_begin(const struct jobs *js, struct jobfolder_sweep *sweep)
{
        char *path = NULL;
        if (asprintf(&path, "%s/jobs", js->state_dir) < 0)
                return;
        sweep->dir = opendir(path);
        free(path);
}

void jobfolder_sweep_on(const struct jobs *js, struct jobfolder_sweep *sweep)
{
        const struct dirent *file = NULL;
        struct err e = {0};
        int rc = 0;
        int64_t end = clock_now_us() + SWEEP_US;
        while (sweep->dir && rc == 0 && (file = readdir(sweep->dir)) != NULL) {
                rc = sweep_one(js, file->d_name, &e);
                if (rc == 0 && clock_now_us() >= end)
                        return;
        }
        if (rc)
                log_line(LOG_WARN, "the folders of ended jobs are not looked through: %s", e.message);
        jobfolder_sweep_finish(sweep);
}

void jobfolder_sweep_finish(struct jobfolder_sweep *sweep)
{
        if (sweep->dir)
                closedir(sweep->dir);
        sweep->dir = NULL;
}
