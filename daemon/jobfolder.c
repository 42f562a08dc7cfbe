#include "daemon/jobfolder.h"

#include "daemon/jobcore.h"
#include "daemon/twin.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char weights[] = "/init.safetensors";

char *jobfolder_path(const struct jobs *js, int64_t id, const char *file)
{
        char *path = NULL;
        return asprintf(&path, "%s/jobs/%lld%s", js->state_dir, (long long)id, file) < 0 ? NULL : path;
}

int jobfolder_need(const struct jobs *js, int64_t id, struct err *e)
{
        char *dir = jobfolder_path(js, id, "");
        int rc = 0;
        if (!dir)
                rc = err_set(e, ERR_NO_MEMORY, "no memory for a path");
        else if (mkdir(dir, 0700) != 0 && errno != EEXIST)
                rc = err_errno(e, errno, "%s", dir);
        free(dir);
        return rc;
}

int jobfolder_make(const struct jobs *js, int64_t id, const char *model, struct err *e)
{
        char *init = jobfolder_path(js, id, weights);
        char *from = model[0] ? models_path(js->models, model) : NULL;
        int rc = jobfolder_need(js, id, e);
        if (rc == 0 && (!init || (model[0] && !from)))
                rc = err_set(e, ERR_NO_MEMORY, "no memory for a path");
        else if (rc == 0 && unlink(init) != 0 && errno != ENOENT)
                rc = err_errno(e, errno, "%s", init);
        else if (rc == 0 && from)
                rc = twin_make(from, init, model, e);
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

bool jobfolder_checkpoint(const struct jobs *js, int64_t id)
{
        static const char *const names[] = {"/checkpoint.safetensors", "/checkpoint.before.safetensors"};
        bool there = false;
        for (int i = 0; i < 2 && !there; i++) {
                char *path = jobfolder_path(js, id, names[i]);
                there = path && access(path, R_OK) == 0;
                free(path);
        }
        return there;
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

static void tidy(const struct jobs *js, int64_t id, const char *but)
{
        char *path = jobfolder_path(js, id, "");
        if (path)
                empty(path, but);
        free(path);
}

void jobfolder_tidy(const struct jobs *js, int64_t id, enum job_state state)
{
        if (job_state_final(state))
                tidy(js, id, kept(state));
}

void jobfolder_remove(const struct jobs *js, int64_t id)
{
        tidy(js, id, "");
}
