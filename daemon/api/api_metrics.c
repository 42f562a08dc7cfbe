#include "base/clock.h"
#include "daemon/api/api.h"

static void metric(struct str *out, const char *name, const char *type, const char *help)
{
        str_addf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void number(struct str *out, const char *name, const char *type, const char *help, double value)
{
        metric(out, name, type, help);
        str_addf(out, "%s ", name);
        str_add_double(out, value);
        str_add(out, "\n");
}

static void user_row(void *ctx, const char *user, enum job_state state, int64_t count)
{
        str_addf(ctx, "cnnd_user_jobs{user=\"%s\",state=\"%s\"} %lld\n", user, job_state_name(state),
                (long long)count);
}

/* A plain user's scraper sees no other user's jobs. */
static int write_jobs(struct jobs *js, const struct identity *who, struct str *out, struct err *e)
{
        int64_t counts[JOB_STATES];
        struct jobs_stats stats;
        const char *user = who->operator? NULL : who->user;
        int rc = jobs_count(js, user, counts, e);
        if (rc == 0)
                rc = jobs_stats(js, &stats, e);
        if (rc)
                return rc;
        metric(out, "cnnd_jobs", "gauge", "jobs by state");
        for (int i = 0; i < JOB_STATES; i++)
                str_addf(out, "cnnd_jobs{state=\"%s\"} %lld\n", job_state_name(i), (long long)counts[i]);
        metric(out, "cnnd_user_jobs", "gauge", "unfinished jobs by user and state");
        rc = jobs_count_users(js, user, user_row, out, e);
        number(out, "cnnd_queue_oldest_seconds", "gauge",
                "since the submission of the oldest job that is queued", stats.oldest_seconds);
        metric(out, "cnnd_queue_seconds", "histogram", "from a job's submission to its first start");
        histogram_write(&stats.waits, histogram_slow, "cnnd_queue_seconds", "", out);
        number(out, "cnnd_steps_total", "counter", "training steps that were reported", (double)stats.steps);
        metric(out, "cnnd_images_total", "counter",
                "images: trained on (steps times batch size), and classified for requests");
        str_addf(out, "cnnd_images_total{for=\"training\"} %llu\n", (unsigned long long)stats.images);
        return rc;
}

static void write_devices(const struct supervisor *sv, struct str *out)
{
        static const char *const names[] = {"starting", "ready", "quarantined"};
        int count = supervisor_count(sv);
        int64_t now = clock_now_ms();
        metric(out, "cnnd_device_state", "gauge", "1 for the state a device is in");
        for (int i = 0; i < count; i++)
                for (int state = DEVICE_STARTING; state <= DEVICE_QUARANTINED; state++)
                        str_addf(out, "cnnd_device_state{device=\"%s\",state=\"%s\"} %d\n",
                                supervisor_info(sv, i)->id, names[state],
                                (int)supervisor_state(sv, i) == state);
        metric(out, "cnnd_device_busy_seconds_total", "counter",
                "time with a job; its rate is the busy ratio");
        for (int i = 0; i < count; i++)
                str_addf(out, "cnnd_device_busy_seconds_total{device=\"%s\"} %.3f\n",
                        supervisor_info(sv, i)->id, supervisor_busy_seconds(sv, i, now));
        metric(out, "cnnd_device_memory_bytes", "gauge", "that the device has");
        for (int i = 0; i < count; i++)
                str_addf(out, "cnnd_device_memory_bytes{device=\"%s\"} %llu\n", supervisor_info(sv, i)->id,
                        (unsigned long long)supervisor_info(sv, i)->global_bytes);
        metric(out, "cnnd_device_used_bytes", "gauge", "that cnnd's worker has allocated on it");
        for (int i = 0; i < count; i++)
                str_addf(out, "cnnd_device_used_bytes{device=\"%s\"} %.0f\n", supervisor_info(sv, i)->id,
                        supervisor_used_bytes(sv, i));
}

static void write_http(const struct http *http, struct str *out)
{
        struct http_stats stats = http_stats(http);
        metric(out, "cnnd_http_answers_total", "counter", "answers by status class");
        for (int i = 1; i < 6; i++)
                str_addf(out, "cnnd_http_answers_total{class=\"%dxx\"} %llu\n", i,
                        (unsigned long long)stats.answers[i]);
        number(out, "cnnd_http_connections", "gauge", "open connections", (double)stats.connections);
        number(out, "cnnd_http_streams", "gauge", "open event streams", (double)stats.streams);
        number(out, "cnnd_http_waiting", "gauge", "requests that wait for a device or the decoder",
                (double)stats.waiting);
        number(out, "cnnd_http_body_bytes", "gauge", "request bodies in memory", (double)stats.body_bytes);
        number(out, "cnnd_http_answer_bytes", "gauge", "large answers in memory that clients have not taken",
                (double)stats.answer_bytes);
        metric(out, "cnnd_http_request_seconds", "histogram",
                "from a request's header to its answer's first byte, by endpoint");
        for (int i = 0; api_routes[i].method; i++) {
                struct str labels = {0};
                str_addf(&labels, "method=\"%s\",path=\"%s\"", api_routes[i].method, api_routes[i].path);
                const struct histogram *h = http_timing(http, i);
                if (h && !labels.failed)
                        histogram_write(h, histogram_quick, "cnnd_http_request_seconds", labels.data, out);
                str_free(&labels);
        }
}

int api_metrics(void *ctx, struct http_request *rq, struct err *e)
{
        struct api *api = ctx;
        struct str text = {0};
        int rc = target_only(&rq->target, "", e);
        if (rc)
                return rc;
        number(&text, "cnnd_uptime_seconds", "gauge", "since the daemon started",
                (double)(clock_now_ms() - api->started_ms) / 1000);
        rc = write_jobs(api->service->jobs, &rq->who, &text, e);
        if (rc) {
                str_free(&text);
                return rc;
        }
        str_addf(&text, "cnnd_images_total{for=\"classification\"} %llu\n",
                (unsigned long long)classify_images(api->service->classify));
        number(&text, "cnnd_batches_total", "counter", "batches in which devices took these classifications",
                (double)classify_batches(api->service->classify));
        number(&text, "cnnd_sandbox_failures_total", "counter",
                "decoder processes that could not open their sandbox",
                (double)decode_refused(api->service->decode));
        write_devices(api->service->supervisor, &text);
        write_http(api->http, &text);
        return reply_text(&rq->reply, 200, "text/plain; version=0.0.4; charset=utf-8", &text, e);
}
