#include "daemon/api.h"

int api_datasets_list(void *ctx, struct http_request *rq, struct err *e)
{
        cJSON *items = NULL;
        int rc = target_only(&rq->target, "", e);
        if (rc == 0)
                rc = datasets_list(((struct api *)ctx)->service->datasets, &rq->who, &items, e);
        return rc ? rc : api_reply_list(rq, "datasets", items, e);
}

int api_datasets_get(void *ctx, struct http_request *rq, struct err *e)
{
        cJSON *set = NULL;
        int rc = target_only(&rq->target, "", e);
        if (rc == 0)
                rc = api_dataset(ctx, rq, e);
        if (rc == 0)
                rc = datasets_get(((struct api *)ctx)->service->datasets, api_name(rq), &set, e);
        return rc ? rc : reply_json(&rq->reply, 200, set, e);
}

int api_datasets_delete(void *ctx, struct http_request *rq, struct err *e)
{
        struct api *api = ctx;
        int rc = target_only(&rq->target, "", e);
        if (rc == 0)
                rc = api_dataset(api, rq, e);
        if (rc == 0 && jobs_use_dataset(api->service->jobs, api_name(rq)))
                rc = err_set(e, ERR_STATE, "a job that is not finished uses data set \"%s\"", api_name(rq));
        if (rc == 0)
                rc = datasets_delete(api->service->datasets, &rq->who, api_name(rq), e);
        if (rc == 0)
                reply_empty(&rq->reply, 204);
        return rc;
}
