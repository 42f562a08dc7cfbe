#include "daemon/jobs/jobcore.h"

#include "base/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A job's model on its way to another file system. */
struct jobcore_carried {
        struct jobcore_carried *next;
        struct jobs *jobs; /* borrowed */
        int64_t job;       /* 0: nobody wants it any more */
        int carry;         /* its number, 0 when it has ended, */
        char *path;        /* with this, owned as is the file, */
        struct err error;  /* or with this */
};

static void carried_free(struct jobcore_carried *c)
{
        for (struct jobcore_carried **place = &c->jobs->carried; *place; place = &(*place)->next)
                if (*place == c) {
                        *place = c->next;
                        break;
                }
        if (c->path)
                unlink(c->path);
        free(c->path);
        free(c);
}

static void carried(void *ctx, char *path, const struct err *failed)
{
        struct jobcore_carried *c = ctx;
        c->carry = 0;
        c->path = path;
        if (failed)
                c->error = *failed;
        if (!c->job)
                carried_free(c);
}

static struct jobcore_carried *find_copy(const struct jobs *js, int64_t id)
{
        struct jobcore_carried *c = js->carried;
        while (c && c->job != id)
                c = c->next;
        return c;
}

void jobcore_drop_copy(struct jobs *js, int64_t id)
{
        struct jobcore_carried *c = find_copy(js, id);
        if (c && c->carry) {
                c->job = 0;
                carry_stop(js->carries, c->carry);
        } else if (c) {
                carried_free(c);
        }
}

void jobcore_forget_copies(struct jobs *js)
{
        while (js->carried)
                carried_free(js->carried);
}

/* A copy of the job's model beside the others: *ret borrowed, NULL while it is on its way. */
static int copy_of(
        struct jobs *js, int64_t id, const char *path, const char *name, const char **ret, struct err *e)
{
        struct jobcore_carried *c = find_copy(js, id);
        *ret = NULL;
        if (c && c->error.code) {
                *e = c->error;
                carried_free(c);
                return e->code;
        }
        if (c) {
                *ret = c->path;
                return 0;
        }
        c = calloc(1, sizeof *c);
        if (!c)
                return err_set(e, ERR_NO_MEMORY, "no memory for a copy");
        *c = (struct jobcore_carried){.next = js->carried, .jobs = js, .job = id};
        js->carried = c;
        int rc = carry_begin(js->carries, path, models_dir(js->models), name, carried, c, &c->carry, e);
        if (rc)
                carried_free(c);
        return rc;
}

static int place(
        struct jobs *js, int64_t id, const char *name, const char *path, bool *ret_under_way, struct err *e)
{
        const char *file = path;
        int rc = carry_needed(path, models_dir(js->models)) ? copy_of(js, id, path, name, &file, e) : 0;
        if (rc)
                return rc;
        *ret_under_way = !file;
        return file ? models_place(js->models, name, file, e)
                    : err_set(e, ERR_UNAVAILABLE, "the model is being copied");
}

int jobcore_place_model(struct jobs *js, int64_t id, char placed[REQUEST_NAME_MAX + 1], bool *ret_unplaced,
        bool *ret_under_way, struct err *e)
{
        struct job_row row;
        int rc = jobrow_read(js->home.store, id, &row, e);
        if (rc)
                return rc;
        if (row.type == JOB_TRAIN && row.save_as[0] && row.want != WANT_CANCEL) {
                char *path = jobfolder_path(js, id, "/model.safetensors");
                rc = path ? place(js, id, row.save_as, path, ret_under_way, e)
                          : err_set(e, ERR_NO_MEMORY, "no memory for a path");
                free(path);
                *ret_unplaced = rc != 0 && !*ret_under_way;
                if (rc == 0)
                        snprintf(placed, REQUEST_NAME_MAX + 1, "%s", row.save_as);
        }
        job_row_finish(&row);
        return rc;
}

static cJSON *metrics_of(const struct job_row *r)
{
        cJSON *job = jobrow_json(r);
        cJSON *metrics = json_fell_short() ? NULL : cJSON_DetachItemFromObjectCaseSensitive(job, "metrics");
        cJSON_Delete(job);
        return metrics;
}

int jobcore_record_model(struct jobs *js, struct job_row *r, struct err *e)
{
        if (!r->save_as[0])
                return 0;
        cJSON *metrics = metrics_of(r);
        int rc = metrics ? models_record(js->models, r->save_as, r->user, r->id, metrics, e)
                         : err_set(e, ERR_NO_MEMORY, "no memory for a model's metrics");
        cJSON_Delete(metrics);
        memcpy(r->model, r->save_as, sizeof r->model);
        return rc;
}
