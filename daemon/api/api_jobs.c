#include "daemon/api/api.h"

#include "base/json.h"
#include "daemon/api/curves.h"
#include "daemon/common/media.h"
#include "daemon/jobs/plot.h"

#include <stdlib.h>
#include <string.h>

enum { LIST_DEFAULT = 100 };

/* NULL where there is none. */
static int read_key(const struct http_request *rq, const char **ret, struct err *e)
{
        const char *key = http_header(rq, "Idempotency-Key");
        size_t n = key ? strlen(key) : 0;
        if (key && (n == 0 || n > JOBS_KEY_MAX))
                return err_set(e, ERR_INVALID, "Idempotency-Key has %zu bytes, allowed are 1 to %d", n,
                        JOBS_KEY_MAX);
        *ret = key;
        return 0;
}

int api_jobs_submit(void *ctx, struct http_request *rq, struct err *e)
{
        struct jobs *js = ((struct api *)ctx)->service->jobs;
        const char *key = NULL;
        cJSON *body = NULL, *job = NULL;
        int64_t id;
        bool again;
        int rc = target_only(&rq->target, "", e);
        if (rc == 0)
                rc = read_key(rq, &key, e);
        if (rc == 0)
                rc = api_body(rq, &body, e);
        if (rc == 0)
                rc = jobs_submit(js, &rq->who, key, body, &id, &again, e);
        cJSON_Delete(body);
        if (rc == 0)
                rc = jobs_get(js, id, &job, e);
        if (rc)
                return rc;
        reply_header(&rq->reply, "Location", "/v1/jobs/%lld", (long long)id);
        return reply_json(&rq->reply, again ? 200 : 201, job, e);
}

/* `before`, where it is not 0, is the parameter with which to go on. */
static int reply_jobs(struct http_request *rq, cJSON *items, int64_t before, struct err *e)
{
        cJSON *tree = cJSON_CreateObject();
        json_add(tree, "jobs", items);
        if (before)
                cJSON_AddNumberToObject(tree, "before", (double)before);
        return reply_json(&rq->reply, 200, tree, e);
}

int api_jobs_list(void *ctx, struct http_request *rq, struct err *e)
{
        struct jobs *js = ((struct api *)ctx)->service->jobs;
        const char *state = target_get(&rq->target, "state");
        struct jobs_filter f = {.state = -1, .user = target_get(&rq->target, "user")};
        int64_t limit = LIST_DEFAULT, before = 0;
        cJSON *items = NULL;
        int rc = target_only(&rq->target, "state user limit before", e);
        if (rc == 0)
                rc = target_get_int(&rq->target, "limit", 1, JOBS_LIST_MAX, &limit, e);
        if (rc == 0)
                rc = target_get_int(&rq->target, "before", 1, INT64_MAX, &f.before, e);
        if (rc == 0 && state && (f.state = job_state_parse(state)) < 0)
                rc = err_set(
                        e, ERR_INVALID, "query parameter \"state\" is not a state of a job: \"%s\"", state);
        f.limit = (int)limit;
        f.own = rq->who.operator? NULL : rq->who.user;
        if (rc == 0)
                rc = jobs_list(js, &f, &items, &before, e);
        return rc ? rc : reply_jobs(rq, items, before, e);
}

int api_jobs_get(void *ctx, struct http_request *rq, struct err *e)
{
        cJSON *job = NULL;
        int64_t id;
        int rc = api_job(ctx, rq, "", &id, e);
        if (rc == 0)
                rc = jobs_get(((struct api *)ctx)->service->jobs, id, &job, e);
        return rc ? rc : reply_json(&rq->reply, 200, job, e);
}

int api_jobs_delete(void *ctx, struct http_request *rq, struct err *e)
{
        int64_t id;
        int rc = api_job(ctx, rq, "", &id, e);
        if (rc == 0)
                rc = jobs_delete(((struct api *)ctx)->service->jobs, id, e);
        if (rc == 0)
                reply_empty(&rq->reply, 204);
        return rc;
}

static int wish(const struct api *api, struct http_request *rq,
        int (*verb)(struct jobs *, int64_t, struct err *), struct err *e)
{
        cJSON *job = NULL;
        int64_t id;
        int rc = api_job(api, rq, "", &id, e);
        if (rc == 0)
                rc = verb(api->service->jobs, id, e);
        if (rc == 0)
                rc = jobs_get(api->service->jobs, id, &job, e);
        return rc ? rc : reply_json(&rq->reply, 202, job, e);
}

int api_jobs_cancel(void *ctx, struct http_request *rq, struct err *e)
{
        return wish(ctx, rq, jobs_cancel, e);
}

int api_jobs_pause(void *ctx, struct http_request *rq, struct err *e)
{
        return wish(ctx, rq, jobs_pause, e);
}

/* A job that pauses and goes on again and again makes events beyond those that were thought of. */
int api_jobs_resume(void *ctx, struct http_request *rq, struct err *e)
{
        int64_t id;
        int rc = api_job(ctx, rq, "", &id, e);
        if (rc == 0)
                rc = quota_save(((struct api *)ctx)->service->quota, &rq->who, "", 0, 0, e);
        return rc ? rc : wish(ctx, rq, jobs_resume, e);
}

/* Where a stream goes on: Last-Event-ID, which a browser sends when it comes back to the same address, before
   ?after. */
static int read_after(const struct http_request *rq, int64_t *ret, struct err *e)
{
        const char *last = http_header(rq, "Last-Event-ID");
        int rc = target_get_int(&rq->target, "after", 0, INT64_MAX, ret, e);
        if (rc == 0 && last && *last && target_id(last, "event", ret, NULL) != 0)
                rc = err_set(e, ERR_INVALID, "Last-Event-ID is a whole number, not \"%.40s\"", last);
        return rc;
}

int api_jobs_events(void *ctx, struct http_request *rq, struct err *e)
{
        struct api *api = ctx;
        int64_t id, after = 0;
        int rc = api_job(ctx, rq, "after", &id, e);
        if (rc == 0)
                rc = read_after(rq, &after, e);
        if (rc == 0)
                rc = feed_open(api->feed, rq, id, after, api_stream_format(rq), e);
        return rc;
}

/* A name that stands as a string or in an object's "name"; `other` for neither. */
static const char *name_of(const cJSON *item, const char *other)
{
        if (cJSON_IsObject(item))
                item = json_field(item, "name");
        return cJSON_IsString(item) ? item->valuestring : other;
}

static void write_plot(const struct curve *c, const cJSON *job, struct str *out)
{
        const cJSON *raw = json_field(job, "request"), *name = json_field(job, "name");
        cJSON *request = json_parse(raw->valuestring, strlen(raw->valuestring), NULL);
        const char *net = name_of(json_field(request, "architecture"), "own layers");
        struct str title = {0}, note = {0};
        str_addf(&title, "%s on %s", net, name_of(json_field(request, "dataset"), "?"));
        str_addf(&note, "job %lld", (long long)c->job);
        if (cJSON_IsString(name) && name->valuestring[0])
                str_addf(&note, " · %s", name->valuestring);
        str_addf(&note, " · %s", name_of(json_field(job, "state"), "?"));
        double rate = cJSON_GetNumberValue(json_field(json_field(job, "metrics"), "images_per_second"));
        if (rate > 0)
                str_addf(&note, " · %.0f images per second", rate);
        if (title.failed || note.failed || !request)
                out->failed = true;
        else
                plot_svg(c, title.data, note.data, out);
        cJSON_Delete(request);
        str_free(&title);
        str_free(&note);
}

static int reply_plot(struct http_request *rq, const struct curve *c, const cJSON *job, struct err *e)
{
        struct str text = {0};
        write_plot(c, job, &text);
        int rc = reply_text(&rq->reply, 200, "image/svg+xml", &text, e);
        if (rc)
                return rc;
        reply_header(&rq->reply, "Vary", "Accept");
        /* The picture's own style, and nothing from anywhere. */
        reply_header(&rq->reply, "Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'");
        return 0;
}

static int reply_columns(struct http_request *rq, const struct curve *c, const cJSON *job, struct err *e)
{
        struct str text = {0};
        (void)job;
        curve_json(c, &text);
        int rc = reply_text(&rq->reply, 200, "application/json", &text, e);
        if (rc == 0)
                reply_header(&rq->reply, "Vary", "Accept");
        return rc;
}

static int reply_rows(struct jobs *js, struct http_request *rq, int64_t id, struct err *e)
{
        cJSON *job = NULL;
        int rc = jobs_get(js, id, &job, e);
        cJSON_Delete(job);
        if (rc == 0)
                rc = curve_csv(js, id, &rq->reply, e);
        if (rc == 0)
                reply_header(&rq->reply, "Vary", "Accept");
        return rc;
}

int api_jobs_curve(void *ctx, struct http_request *rq, struct err *e)
{
        static const char *const types[] = {"application/json", "text/csv", "image/svg+xml", NULL};
        struct api *api = ctx;
        const char *type = media_choose(http_header(rq, "Accept"), types);
        int64_t id;
        int rc = api_job(api, rq, "", &id, e);
        if (rc)
                return rc;
        if (type == types[1])
                return reply_rows(api->service->jobs, rq, id, e);
        return curves_answer(api->curves, rq, id, type == types[0] ? reply_columns : reply_plot, e);
}

int api_jobs_result(void *ctx, struct http_request *rq, struct err *e)
{
        uint64_t size;
        int64_t id;
        int fd;
        int rc = api_job(ctx, rq, "", &id, e);
        if (rc == 0)
                rc = jobs_result(((struct api *)ctx)->service->jobs, id, &fd, &size, e);
        if (rc == 0)
                reply_file(&rq->reply, "application/json", fd, size);
        return rc;
}
