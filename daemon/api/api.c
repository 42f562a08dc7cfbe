#include "daemon/api/api.h"

#include "base/clock.h"
#include "base/json.h"
#include "daemon/common/media.h"

#include <ctype.h>

const struct http_route api_routes[] = {
        {"GET", "/", HTTP_NO_BODY, api_page, true},
        {"GET", "/page/{}", HTTP_NO_BODY, api_page_file, true},

        {"GET", "/v1/openapi.json", HTTP_NO_BODY, api_status_openapi, true},
        {"GET", "/v1/health", HTTP_NO_BODY, api_status_health, true},
        {"GET", "/v1/version", HTTP_NO_BODY, api_status_version, false},
        {"GET", "/v1/devices", HTTP_NO_BODY, api_status_devices, false},
        {"GET", "/v1/devices/{}", HTTP_NO_BODY, api_status_device, false},
        {"GET", "/metrics", HTTP_NO_BODY, api_metrics, false},

        {"GET", "/v1/architectures", HTTP_NO_BODY, api_nets_list, false},
        {"POST", "/v1/architectures/summary", HTTP_JSON, api_nets_post_summary, false},
        {"GET", "/v1/architectures/{}/summary", HTTP_NO_BODY, api_nets_get_summary, false},

        {"GET", "/v1/datasets", HTTP_NO_BODY, api_datasets_list, false},
        {"GET", "/v1/datasets/{}", HTTP_NO_BODY, api_datasets_get, false},
        {"PUT", "/v1/datasets/{}", HTTP_ARCHIVE, api_datasets_put, false},
        {"GET", "/v1/datasets/{}/events", HTTP_NO_BODY, api_datasets_events, false},
        {"GET", "/v1/datasets/{}/sheet", HTTP_NO_BODY, api_datasets_sheet, false},
        {"DELETE", "/v1/datasets/{}", HTTP_NO_BODY, api_datasets_delete, false},

        {"POST", "/v1/jobs", HTTP_JSON, api_jobs_submit, false},
        {"GET", "/v1/jobs", HTTP_NO_BODY, api_jobs_list, false},
        {"GET", "/v1/jobs/{}", HTTP_NO_BODY, api_jobs_get, false},
        {"DELETE", "/v1/jobs/{}", HTTP_NO_BODY, api_jobs_delete, false},
        {"POST", "/v1/jobs/{}/cancel", HTTP_NO_BODY, api_jobs_cancel, false},
        {"POST", "/v1/jobs/{}/pause", HTTP_NO_BODY, api_jobs_pause, false},
        {"POST", "/v1/jobs/{}/resume", HTTP_NO_BODY, api_jobs_resume, false},
        {"GET", "/v1/jobs/{}/events", HTTP_NO_BODY, api_jobs_events, false},
        {"GET", "/v1/jobs/{}/curve", HTTP_NO_BODY, api_jobs_curve, false},
        {"GET", "/v1/jobs/{}/result", HTTP_NO_BODY, api_jobs_result, false},

        {"GET", "/v1/models", HTTP_NO_BODY, api_models_list, false},
        {"GET", "/v1/models/{}", HTTP_NO_BODY, api_models_get, false},
        {"DELETE", "/v1/models/{}", HTTP_NO_BODY, api_models_delete, false},
        {"GET", "/v1/models/{}/weights", HTTP_NO_BODY, api_models_weights, false},
        {"GET", "/v1/models/{}/onnx", HTTP_NO_BODY, api_models_onnx, false},
        {"PUT", "/v1/models/{}/weights", HTTP_FILE, api_models_put, false},
        {"PUT", "/v1/models/{}/onnx", HTTP_FILE, api_models_put, false},
        {"POST", "/v1/models/{}/classify", HTTP_IMAGE, api_models_classify, false},
        {"POST", "/v1/models/{}/map", HTTP_IMAGE, api_models_map, false},
        {"GET", "/v1/models/{}/filters", HTTP_NO_BODY, api_models_filters, false},
        {"POST", "/v1/models/{}/activations", HTTP_IMAGE, api_models_activations, false},

        {"GET", "/v2", HTTP_NO_BODY, api_oip_server, false},
        {"GET", "/v2/health/live", HTTP_NO_BODY, api_oip_live, true},
        {"GET", "/v2/health/ready", HTTP_NO_BODY, api_oip_ready, true},
        {"POST", "/v2/repository/index", HTTP_JSON, api_oip_index, false},
        {"GET", "/v2/models/{}", HTTP_NO_BODY, api_oip_model, false},
        {"GET", "/v2/models/{}/ready", HTTP_NO_BODY, api_oip_model_ready, false},
        {"POST", "/v2/models/{}/infer", HTTP_IMAGE, api_oip_infer, false},
        {"GET", "/v2/models/{}/versions/{}", HTTP_NO_BODY, api_oip_model, false},
        {"GET", "/v2/models/{}/versions/{}/ready", HTTP_NO_BODY, api_oip_model_ready, false},
        {"POST", "/v2/models/{}/versions/{}/infer", HTTP_IMAGE, api_oip_infer, false},

        {0},
};

/* Weights of DATASET_MAX_CLASSES classes, or a network of NET_MAX_LAYERS layers with eight fields each. */
enum { BODY_VALUES = 70000 };

int api_body(const struct http_request *rq, cJSON **ret, struct err *e)
{
        if (rq->body.text.len == 0)
                return err_set(e, ERR_SYNTAX, "the body is empty");
        cJSON *tree = json_parse_most(rq->body.text.data, rq->body.text.len, BODY_VALUES, e);
        const unsigned char first = (unsigned char)rq->body.text.data[0];
        if (!tree && e->code == ERR_SYNTAX &&
                (isalnum(first) || first == '@' || first == '.' || first == '/'))
                return err_set(e, ERR_SYNTAX, "the body is not JSON; curl takes it from a file by -d @FILE");
        if (!tree)
                return e->code;
        *ret = tree;
        return 0;
}

int api_listing(const struct http_request *rq, struct listing *ret, struct err *e)
{
        const char *after = target_get(&rq->target, "after");
        int64_t limit = LISTING_MAX;
        int rc = target_only(&rq->target, "limit after", e);
        if (rc == 0)
                rc = target_get_int(&rq->target, "limit", 1, LISTING_MAX, &limit, e);
        *ret = (struct listing){.after = after ? after : "", .limit = (int)limit};
        return rc;
}

int api_reply_list(
        struct http_request *rq, const char *name, cJSON *items, const struct listing *l, struct err *e)
{
        cJSON *tree = cJSON_CreateObject();
        json_add(tree, name, items);
        if (l->more)
                cJSON_AddStringToObject(tree, "after", l->last);
        return reply_json(&rq->reply, 200, tree, e);
}

void api_answer_text(struct http_request *rq, const char *type, struct str *body, const struct err *failed)
{
        struct err e = {0};
        int rc = failed ? failed->code : reply_text(&rq->reply, 200, type, body, &e);
        http_answer(rq, rc, failed ? failed : &e);
}

enum feed_format api_stream_format(const struct http_request *rq)
{
        static const char *const types[] = {"text/event-stream", "application/x-ndjson", NULL};
        return media_choose(http_header(rq, "Accept"), types) == types[0] ? FEED_SSE : FEED_NDJSON;
}

bool api_left(void *ctx)
{
        return http_gone(ctx);
}

const char *api_name(const struct http_request *rq)
{
        return rq->target.part[2];
}

int api_know(void *ctx, struct http_request *rq, struct err *e)
{
        uid_t uid;
        bool local = http_local(rq, &uid);
        return access_admit(
                ((struct api *)ctx)->access, local, uid, http_header(rq, "Authorization"), &rq->who, e);
}

int api_admit(void *ctx, struct http_request *rq, struct err *e)
{
        struct quota *quota = ((struct api *)ctx)->service->quota;
        int rc = api_know(ctx, rq, e);
        if (rc == 0)
                rc = quota_request(quota, &rq->who, clock_now_ms(), &rq->reply.retry_seconds, e);
        if (rc == 0 && rq->kind == HTTP_FILE)
                rc = quota_model(quota, &rq->who, api_name(rq), rq->length > 0 ? rq->length : 0, e);
        if (rc == 0 && rq->kind == HTTP_ARCHIVE) /* what becomes of its bytes shows when it is unpacked */
                rc = quota_dataset(quota, &rq->who, api_name(rq), 0, e);
        return rc;
}

int api_peer(void *ctx, uid_t uid, struct identity *ret, struct err *e)
{
        return access_peer(((struct api *)ctx)->access, uid, ret, e);
}

int api_enter(void *ctx, const struct identity *who, struct err *e)
{
        return quota_enter(((struct api *)ctx)->service->quota, who, clock_now_ms(), e);
}

void api_leave(void *ctx, const struct identity *who)
{
        quota_leave(((struct api *)ctx)->service->quota, who);
}

void api_worked(void *ctx, const struct identity *who, double seconds)
{
        quota_worked(((struct api *)ctx)->service->quota, who, seconds, clock_now_ms());
}

int64_t api_waited_us(void *ctx)
{
        return store_waited_us(((struct api *)ctx)->service->store);
}

int api_job(
        const struct api *api, const struct http_request *rq, const char *query, int64_t *ret, struct err *e)
{
        int64_t id;
        int rc = target_only(&rq->target, query, e);
        if (rc == 0)
                rc = target_id(rq->target.part[2], "job", &id, e);
        if (rc == 0)
                rc = jobs_see(api->service->jobs, &rq->who, id, e);
        if (rc == 0)
                *ret = id;
        return rc;
}

int api_model(const struct api *api, const struct http_request *rq, const char *query, struct err *e)
{
        int rc = query ? target_only(&rq->target, query, e) : 0;
        return rc ? rc : models_see(api->service->models, &rq->who, api_name(rq), e);
}

int api_dataset(const struct api *api, const struct http_request *rq, struct err *e)
{
        return datasets_see(api->service->datasets, &rq->who, api_name(rq), e);
}
