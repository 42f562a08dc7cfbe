#include "daemon/api.h"

#include "base/json.h"

const struct http_route api_routes[] = {
        {"GET", "/v1/health", HTTP_NO_BODY, api_status_health},
        {"GET", "/v1/version", HTTP_NO_BODY, api_status_version},
        {"GET", "/v1/devices", HTTP_NO_BODY, api_status_devices},
        {"GET", "/metrics", HTTP_NO_BODY, api_status_metrics},

        {"GET", "/v1/architectures", HTTP_NO_BODY, api_nets_list},
        {"POST", "/v1/architectures/summary", HTTP_JSON, api_nets_post_summary},
        {"GET", "/v1/architectures/{}/summary", HTTP_NO_BODY, api_nets_get_summary},

        {"GET", "/v1/datasets", HTTP_NO_BODY, api_datasets_list},
        {"GET", "/v1/datasets/{}", HTTP_NO_BODY, api_datasets_get},
        {"DELETE", "/v1/datasets/{}", HTTP_NO_BODY, api_datasets_delete},

        {"POST", "/v1/jobs", HTTP_JSON, api_jobs_submit},
        {"GET", "/v1/jobs", HTTP_NO_BODY, api_jobs_list},
        {"GET", "/v1/jobs/{}", HTTP_NO_BODY, api_jobs_get},
        {"POST", "/v1/jobs/{}/cancel", HTTP_NO_BODY, api_jobs_cancel},
        {"POST", "/v1/jobs/{}/pause", HTTP_NO_BODY, api_jobs_pause},
        {"POST", "/v1/jobs/{}/resume", HTTP_NO_BODY, api_jobs_resume},
        {"GET", "/v1/jobs/{}/events", HTTP_NO_BODY, api_jobs_events},
        {"GET", "/v1/jobs/{}/curve", HTTP_NO_BODY, api_jobs_curve},
        {"GET", "/v1/jobs/{}/result", HTTP_NO_BODY, api_jobs_result},

        {"GET", "/v1/models", HTTP_NO_BODY, api_models_list},
        {"GET", "/v1/models/{}", HTTP_NO_BODY, api_models_get},
        {"DELETE", "/v1/models/{}", HTTP_NO_BODY, api_models_delete},
        {"GET", "/v1/models/{}/weights", HTTP_NO_BODY, api_models_weights},
        {"PUT", "/v1/models/{}/weights", HTTP_FILE, api_models_put},
        {"POST", "/v1/models/{}/classify", HTTP_IMAGE, api_models_classify},
        {"GET", "/v1/models/{}/filters", HTTP_NO_BODY, api_models_filters},
        {"POST", "/v1/models/{}/activations", HTTP_IMAGE, api_models_activations},

        {0},
};

int api_body(const struct http_request *rq, cJSON **ret, struct err *e)
{
        if (rq->body.text.len == 0)
                return err_set(e, ERR_SYNTAX, "the body is empty");
        cJSON *tree = json_parse(rq->body.text.data, rq->body.text.len, e);
        if (!tree)
                return e->code;
        *ret = tree;
        return 0;
}

int api_reply_list(struct http_request *rq, const char *name, cJSON *items, struct err *e)
{
        cJSON *tree = cJSON_CreateObject();
        if (!tree || !cJSON_AddItemToObject(tree, name, items)) {
                cJSON_Delete(tree);
                cJSON_Delete(items);
                return err_set(e, ERR_NO_MEMORY, "no memory for the answer");
        }
        return reply_json(&rq->reply, 200, tree, e);
}

const char *api_name(const struct http_request *rq)
{
        return rq->target.part[2];
}

int api_job_id(const struct http_request *rq, int64_t *ret, struct err *e)
{
        return target_id(rq->target.part[2], "job", ret, e);
}
