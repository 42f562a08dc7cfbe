#include "daemon/api.h"

#include "base/chan.h"
#include "base/str.h"
#include "daemon/clock.h"

#include <microhttpd.h>
#include <sqlite3.h>

int api_status_health(void *ctx, struct http_request *rq, struct err *e)
{
        struct str text = {0};
        int rc = target_only(&rq->target, "", e);
        if (rc == 0)
                rc = service_health(((struct api *)ctx)->service, e);
        if (rc)
                return rc;
        str_add(&text, "{\"status\":\"ok\"}\n");
        return reply_text(&rq->reply, 200, "application/json", &text, e);
}

/* What the loader found: the version of each platform's OpenCL. */
static void write_platforms(const struct supervisor *sv, struct str *out)
{
        for (int i = 0; i < supervisor_count(sv); i++) {
                const struct dev_info *info = supervisor_info(sv, i);
                str_add(out, i ? "," : "");
                str_add_json(out, info->platform_version);
        }
}

int api_status_version(void *ctx, struct http_request *rq, struct err *e)
{
        struct str text = {0};
        int rc = target_only(&rq->target, "", e);
        if (rc)
                return rc;
        str_addf(&text, "{\"cnnd\":\"%s\",\"opencl\":{\"api\":\"%d.%d\",\"platforms\":[", CNND_VERSION,
                CL_TARGET_OPENCL_VERSION / 100, CL_TARGET_OPENCL_VERSION / 10 % 10);
        write_platforms(((struct api *)ctx)->service->supervisor, &text);
        str_addf(&text, "]},\"libraries\":{\"libmicrohttpd\":\"%s\",\"sqlite\":\"%s\",\"cjson\":\"%s\"}",
                MHD_get_version(), sqlite3_libversion(), cJSON_Version());
        str_addf(&text, ",\"formats\":{\"api\":1,\"database\":%d,\"dataset\":%d,\"channel\":%d}}\n",
                STORE_VERSION, DATASET_VERSION, CHAN_VERSION);
        return reply_text(&rq->reply, 200, "application/json", &text, e);
}

int api_status_devices(void *ctx, struct http_request *rq, struct err *e)
{
        const struct supervisor *sv = ((struct api *)ctx)->service->supervisor;
        cJSON *items = NULL, *tree = cJSON_CreateObject();
        const char *problem = supervisor_problem(sv);
        int rc = tree ? target_only(&rq->target, "", e)
                      : err_set(e, ERR_NO_MEMORY, "no memory for the answer");
        if (rc == 0)
                rc = supervisor_json(sv, &items, e);
        if (rc == 0) {
                cJSON_AddItemToObject(tree, "devices", items);
                if (*problem)
                        cJSON_AddStringToObject(tree, "problem", problem);
                else
                        cJSON_AddNullToObject(tree, "problem");
                return reply_json(&rq->reply, 200, tree, e);
        }
        cJSON_Delete(tree);
        return rc;
}

static void metric(struct str *out, const char *name, const char *type, const char *help)
{
        str_addf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void write_devices(const struct supervisor *sv, struct str *out)
{
        static const char *const names[] = {"starting", "ready", "quarantined"};
        metric(out, "cnnd_device_state", "gauge", "1 for the state a device is in");
        for (int i = 0; i < supervisor_count(sv); i++)
                for (int state = DEVICE_STARTING; state <= DEVICE_QUARANTINED; state++)
                        str_addf(out, "cnnd_device_state{device=\"%s\",state=\"%s\"} %d\n",
                                supervisor_info(sv, i)->id, names[state],
                                (int)supervisor_state(sv, i) == state);
}

int api_status_metrics(void *ctx, struct http_request *rq, struct err *e)
{
        struct api *api = ctx;
        struct str text = {0};
        struct http_stats stats = http_stats(api->http);
        int64_t counts[JOB_STATES];
        int rc = target_only(&rq->target, "", e);
        if (rc == 0)
                rc = jobs_count(api->service->jobs, counts, e);
        if (rc)
                return rc;
        metric(&text, "cnnd_uptime_seconds", "gauge", "since the daemon started");
        str_addf(&text, "cnnd_uptime_seconds %.3f\n", (double)(clock_now_ms() - api->started_ms) / 1000);
        metric(&text, "cnnd_jobs", "gauge", "jobs by state");
        for (int i = 0; i < JOB_STATES; i++)
                str_addf(&text, "cnnd_jobs{state=\"%s\"} %lld\n", job_state_name(i), (long long)counts[i]);
        write_devices(api->service->supervisor, &text);
        metric(&text, "cnnd_http_answers_total", "counter", "answers by status class");
        for (int i = 1; i < 6; i++)
                str_addf(&text, "cnnd_http_answers_total{class=\"%dxx\"} %llu\n", i,
                        (unsigned long long)stats.answers[i]);
        metric(&text, "cnnd_http_connections", "gauge", "open connections");
        str_addf(&text, "cnnd_http_connections %lld\n", (long long)stats.connections);
        metric(&text, "cnnd_http_streams", "gauge", "open event streams");
        str_addf(&text, "cnnd_http_streams %lld\n", (long long)stats.streams);
        metric(&text, "cnnd_http_waiting", "gauge", "requests that wait for a device or the decoder");
        str_addf(&text, "cnnd_http_waiting %lld\n", (long long)stats.waiting);
        metric(&text, "cnnd_http_body_bytes", "gauge", "request bodies in memory");
        str_addf(&text, "cnnd_http_body_bytes %lld\n", (long long)stats.body_bytes);
        return reply_text(&rq->reply, 200, "text/plain; version=0.0.4; charset=utf-8", &text, e);
}
