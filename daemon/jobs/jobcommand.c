#include "daemon/jobs/jobcommand.h"

#include "base/json.h"
#include "daemon/jobs/jobcore.h"
#include "daemon/jobs/jobstrategies.h"

#include <stdlib.h>
#include <string.h>

/* Adds a path as a string and frees it; NULL is want of memory. */
static void add_path(cJSON *o, const char *key, char *path)
{
        json_add(o, key, path ? cJSON_CreateString(path) : NULL);
        free(path);
}

static void add_train(cJSON *o, const struct job_row *r, char *weights, double checkpoint_seconds)
{
        if (weights)
                add_path(o, "init", weights);
        else
                cJSON_AddNullToObject(o, "init");
        cJSON_AddNumberToObject(o, "checkpoint_seconds", checkpoint_seconds);
        cJSON_AddNumberToObject(o, "checkpoint_step", (double)r->checkpoint_step);
        /* As planned: a device with another memory must not choose again. */
        cJSON *request = json_parse(r->request, strlen(r->request), NULL);
        if (!json_field(request, "micro_batch"))
                cJSON_AddNumberToObject(request, "micro_batch", r->micro_batch);
        json_add(o, "request", request);
}

static void add_evaluate(cJSON *o, const struct job_row *r, char *weights)
{
        add_path(o, "model", weights);
        cJSON_AddStringToObject(o, "name", r->model);
        cJSON_AddNumberToObject(o, "limit", (double)r->steps);
}

/* Takes `weights`. */
static cJSON *command(
        const struct jobs *js, const struct job_row *r, char *weights, double checkpoint_seconds)
{
        cJSON *o = cJSON_CreateObject();
        cJSON_AddStringToObject(o, "op", r->type == JOB_TRAIN ? "train" : "evaluate");
        cJSON_AddNumberToObject(o, "job", (double)r->id);
        add_path(o, "dataset", datasets_path(js->datasets, r->dataset));
        add_path(o, "dir", jobfolder_path(js, r->id, ""));
        if (r->type == JOB_TRAIN)
                add_train(o, r, weights, checkpoint_seconds);
        else
                add_evaluate(o, r, weights);
        return o;
}

/* A classify job of a version that linked no weights into its folder: the model of that name, if it still is
   its user's; else `refused` says so. */
static int find_by_name(
        const struct jobs *js, const struct job_row *r, char **ret, struct err *refused, struct err *e)
{
        struct identity who = {0};
        memcpy(who.user, r->user, sizeof who.user);
        int rc = models_see(js->models, &who, r->model, e);
        if (rc == ERR_NOT_FOUND) {
                err_set(refused, rc,
                        "the model '%s' was deleted, or is another user's now: submit the job again",
                        r->model);
                return 0;
        }
        if (rc)
                return rc;
        *ret = models_path(js->models, r->model);
        return *ret ? 0 : err_set(e, ERR_NO_MEMORY, "no memory for a path");
}

/* Whether a first run of a training job begins with a model's weights; behind a checkpoint they do not
 * matter. */
static int needs_weights(const struct jobs *js, const struct job_row *r, bool *ret, struct err *e)
{
        *ret = false;
        if (r->type != JOB_TRAIN || (r->checkpoint_step && jobfolder_checkpoint(js, r->id)))
                return 0;
        cJSON *request = json_parse(r->request, strlen(r->request), e);
        *ret = json_field(json_field(request, "init"), "from") != NULL;
        cJSON_Delete(request);
        return request ? 0 : err_set(e, ERR_NO_MEMORY, "no memory for a command");
}

/* The weights that a job starts from or classifies by; *ret is NULL where it needs none, or may not have
 * them. */
static int find_weights(
        const struct jobs *js, const struct job_row *r, char **ret, struct err *refused, struct err *e)
{
        bool needed = false;
        int rc = jobfolder_weights(js, r->id, ret, e);
        if (rc || *ret)
                return rc;
        if (r->type == JOB_CLASSIFY)
                return find_by_name(js, r, ret, refused, e);
        rc = needs_weights(js, r, &needed, e);
        if (rc == 0 && needed)
                err_set(refused, ERR_NOT_FOUND,
                        "the weights that it was to start from are gone: submit the job again");
        return rc;
}

int jobcommand_make(const struct jobs *js, const struct job_row *r, double checkpoint_seconds, cJSON **ret,
        struct err *refused, struct err *e)
{
        char *weights = NULL;
        cJSON *o = NULL, *bound = NULL;
        int rc = find_weights(js, r, &weights, refused, e);
        if (rc || refused->code)
                return rc;
        rc = jobstrategies_read(js->home.store, r->id, &bound, e);
        if (rc) {
                free(weights);
                return rc;
        }
        o = command(js, r, weights, checkpoint_seconds);
        if (bound)
                json_add(o, "strategies", bound);
        if (!o || json_fell_short()) {
                cJSON_Delete(o);
                return err_set(e, ERR_NO_MEMORY, "no memory for a command");
        }
        *ret = o;
        return 0;
}
