#include "daemon/jobs/jobfolder.h"

#include "base/file.h"
#include "daemon/jobs/jobcore.h"
#include "daemon/store/twin.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char weights[] = "/init.safetensors";
/* An empty file: they lie in models/. */
static const char elsewhere[] = "/init.elsewhere";
static const char link_prefix[] = ".job-", link_suffix[] = ".safetensors";

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

/* NULL when memory is out. */
static char *link_path(const struct jobs *js, int64_t id)
{
        char *path = NULL;
        return asprintf(&path, "%s/%s%lld%s", models_dir(js->models), link_prefix, (long long)id,
                       link_suffix) < 0
                       ? NULL
                       : path;
}

/* The paths of a job's weights: in its folder, where that tells that they are elsewhere, and there. */
struct places {
        char *init, *note, *link; /* owned */
};

static int places_find(const struct jobs *js, int64_t id, struct places *ret, struct err *e)
{
        *ret = (struct places){
                jobfolder_path(js, id, weights), jobfolder_path(js, id, elsewhere), link_path(js, id)};
        return ret->init && ret->note && ret->link ? 0 : err_set(e, ERR_NO_MEMORY, "no memory for a path");
}

static void places_free(struct places *p)
{
        free(p->init);
        free(p->note);
        free(p->link);
}

/* The note first: who tidies goes by it. A file system without hard links leaves nothing but a copy. */
static int keep_elsewhere(const struct places *p, const char *from, const char *model, struct err *e)
{
        int fd = open(p->note, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        if (fd < 0)
                return err_errno(e, errno, "%s", model);
        close(fd);
        if (twin_make(from, p->link, model, e) == 0)
                return 0;
        unlink(p->note);
        return twin_make(from, p->init, model, e);
}

/* Who is told of the job finds the names of its weights after power loss, too. */
static int sync_names(
        const struct jobs *js, const char *dir, const struct places *p, const char *model, struct err *e)
{
        char parent[PATH_MAX];
        snprintf(parent, sizeof parent, "%s/jobs", js->state_dir);
        int rc = access(p->note, F_OK) == 0 ? file_sync_folder(models_dir(js->models), model, e) : 0;
        if (rc == 0)
                rc = file_sync_folder(dir, model, e);
        return rc ? rc : file_sync_folder(parent, model, e);
}

int jobfolder_make(const struct jobs *js, int64_t id, const char *model, struct err *e)
{
        struct places p;
        char *from = model[0] ? models_path(js->models, model) : NULL, *dir = jobfolder_path(js, id, "");
        int rc = places_find(js, id, &p, e);
        if (rc == 0 && (!dir || (model[0] && !from)))
                rc = err_set(e, ERR_NO_MEMORY, "no memory for a path");
        if (rc == 0) { /* what is there is of a job that a database which was put back does not know */
                jobfolder_remove(js, id);
                jobfolder_unlink(js, id);
                rc = jobfolder_need(js, id, e);
        }
        if (rc == 0 && from)
                rc = carry_needed(from, dir) ? keep_elsewhere(&p, from, model, e)
                                             : twin_make(from, p.init, model, e);
        if (rc == 0 && from)
                rc = sync_names(js, dir, &p, model, e);
        places_free(&p);
        free(from);
        free(dir);
        return rc;
}

int jobfolder_weights(const struct jobs *js, int64_t id, char **ret, struct err *e)
{
        struct places p;
        int rc = places_find(js, id, &p, e);
        if (rc == 0) {
                char **found = access(p.init, R_OK) == 0   ? &p.init
                               : access(p.link, R_OK) == 0 ? &p.link
                                                           : NULL;
                *ret = found ? *found : NULL;
                if (found)
                        *found = NULL;
        }
        places_free(&p);
        return rc;
}

bool jobfolder_lacks(const struct jobs *js, int64_t id)
{
        struct places p;
        struct err unused;
        bool lacks = places_find(js, id, &p, &unused) == 0 && access(p.note, F_OK) == 0 &&
                     access(p.link, R_OK) != 0 && !jobfolder_checkpoint(js, id);
        places_free(&p);
        return lacks;
}

int64_t jobfolder_link(const char *file)
{
        char *end;
        if (strncmp(file, link_prefix, sizeof link_prefix - 1) != 0)
                return 0;
        long long id = strtoll(file + sizeof link_prefix - 1, &end, 10);
        return id > 0 && strcmp(end, link_suffix) == 0 ? id : 0;
}

void jobfolder_unlink(const struct jobs *js, int64_t id)
{
        char *path = link_path(js, id);
        if (path)
                unlink(path);
        free(path);
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
static const char *kept(enum job_state state, bool saved)
{
        return state == JOB_SUCCEEDED          ? "result.json"
               : state == JOB_FAILED && !saved ? "model.safetensors"
                                               : "";
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
        char *path = jobfolder_path(js, id, ""), *note = jobfolder_path(js, id, elsewhere);
        if (note && access(note, F_OK) == 0)
                jobfolder_unlink(js, id);
        if (path)
                empty(path, but);
        free(path);
        free(note);
}

void jobfolder_tidy(const struct jobs *js, int64_t id, enum job_state state, bool saved)
{
        if (job_state_final(state))
                tidy(js, id, kept(state, saved));
}

void jobfolder_remove(const struct jobs *js, int64_t id)
{
        tidy(js, id, "");
}
