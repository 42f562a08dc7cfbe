#include "daemon/api/api.h"

#include "base/chan.h"
#include "base/embedded.h"
#include "base/json.h"
#include "base/str.h"
#include "daemon/worker/tuned.h"
#include "device/clblast.h"

#include <microhttpd.h>
#include <sqlite3.h>
#include <string.h>

int api_status_openapi(void *ctx, struct http_request *rq, struct err *e)
{
        struct str text = {0};
        (void)ctx;
        int rc = target_only(&rq->target, "", e);
        if (rc)
                return rc;
        str_add_bytes(&text, openapi_files[0].text, openapi_files[0].len);
        return reply_text(&rq->reply, 200, openapi_files[0].type, &text, e);
}

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
        str_add(&text, "]},\"clblast\":");
        if (clblast_version())
                str_add_json(&text, clblast_version());
        else
                str_add(&text, "null");
        str_addf(&text, ",\"libraries\":{\"libmicrohttpd\":\"%s\",\"sqlite\":\"%s\",\"cjson\":\"%s\"}",
                MHD_get_version(), sqlite3_libversion(), cJSON_Version());
        str_addf(&text, ",\"formats\":{\"api\":1,\"database\":%d,\"dataset\":%d,\"channel\":%d}}\n",
                STORE_VERSION, DATASET_VERSION, CHAN_VERSION);
        return reply_text(&rq->reply, 200, "application/json", &text, e);
}

int api_status_devices(void *ctx, struct http_request *rq, struct err *e)
{
        const struct supervisor *sv = ((struct api *)ctx)->service->supervisor;
        const char *problem = supervisor_problem(sv);
        int rc = target_only(&rq->target, "", e);
        if (rc)
                return rc;
        cJSON *tree = cJSON_CreateObject();
        json_add(tree, "devices", supervisor_json(sv));
        json_add(tree, "platforms", supervisor_platforms(sv));
        json_add(tree, "problem", *problem ? cJSON_CreateString(problem) : cJSON_CreateNull());
        return reply_json(&rq->reply, 200, tree, e);
}

int api_status_device(void *ctx, struct http_request *rq, struct err *e)
{
        const struct service *service = ((struct api *)ctx)->service;
        const char *id = rq->target.part[2];
        int device = 0;
        int rc = target_only(&rq->target, "", e);
        if (rc)
                return rc;
        while (device < supervisor_count(service->supervisor) &&
                strcmp(supervisor_info(service->supervisor, device)->id, id) != 0)
                device++;
        if (device == supervisor_count(service->supervisor))
                return err_set(e, ERR_NOT_FOUND, "there is no device %.40s", id);
        struct strategies *known = NULL;
        rc = tuned_load(service->state_dir, supervisor_info(service->supervisor, device), &known, e);
        if (rc)
                return rc;
        cJSON *o = supervisor_device_json(service->supervisor, device);
        json_add(o, "strategies", strategies_json(known));
        strategies_destroy(known);
        return reply_json(&rq->reply, 200, o, e);
}
