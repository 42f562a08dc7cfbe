#include "daemon/api/api.h"

#include "base/json.h"
#include "daemon/api/modelonnx.h"

#include <stdlib.h>
#include <string.h>

enum { TOP_DEFAULT = 5, TOP_MAX = 65536 };

int api_models_list(void *ctx, struct http_request *rq, struct err *e)
{
        cJSON *items = NULL;
        struct listing l;
        int rc = api_listing(rq, &l, e);
        if (rc == 0)
                rc = models_list(((struct api *)ctx)->service->models, &rq->who, &l, &items, e);
        return rc ? rc : api_reply_list(rq, "models", items, &l, e);
}

int api_models_get(void *ctx, struct http_request *rq, struct err *e)
{
        cJSON *model = NULL;
        int rc = api_model(ctx, rq, "", e);
        if (rc == 0)
                rc = models_get(((struct api *)ctx)->service->models, api_name(rq), &model, e);
        return rc ? rc : reply_json(&rq->reply, 200, model, e);
}

int api_models_delete(void *ctx, struct http_request *rq, struct err *e)
{
        int rc = api_model(ctx, rq, "", e);
        const struct service *s = ((struct api *)ctx)->service;
        if (rc == 0)
                do
                        rc = models_delete(s->models, api_name(rq), e);
                while (reserve_helps(s->reserve, rc));
        if (rc == 0)
                reply_empty(&rq->reply, 204);
        return rc;
}

int api_models_weights(void *ctx, struct http_request *rq, struct err *e)
{
        uint64_t size;
        int fd;
        int rc = api_model(ctx, rq, "", e);
        if (rc == 0)
                rc = models_open(((struct api *)ctx)->service->models, api_name(rq), &fd, &size, e);
        if (rc)
                return rc;
        reply_file(&rq->reply, "application/octet-stream", fd, size);
        reply_header(
                &rq->reply, "Content-Disposition", "attachment; filename=\"%s.safetensors\"", api_name(rq));
        return 0;
}

int api_models_onnx(void *ctx, struct http_request *rq, struct err *e)
{
        struct reply_source source;
        uint64_t size;
        int rc = api_model(ctx, rq, "", e);
        if (rc == 0)
                rc = modelonnx_open(((struct api *)ctx)->service->models, api_name(rq), &source, &size, e);
        if (rc)
                return rc;
        reply_source(&rq->reply, "application/octet-stream", &source, size);
        reply_header(&rq->reply, "Content-Disposition", "attachment; filename=\"%s.onnx\"", api_name(rq));
        return 0;
}

/* A query parameter's JSON text into `overrides`. "architecture" may be a bare preset name too. */
static int add_override(cJSON *overrides, const struct target *t, const char *name, struct err *e)
{
        const char *text = target_get(t, name);
        if (!text)
                return 0;
        bool bare = strcmp(name, "architecture") == 0 && *text && !strchr("{[\"", *text);
        cJSON *tree = bare ? cJSON_CreateString(text) : json_parse(text, strlen(text), e);
        if (!tree && !bare)
                return err_set(e, ERR_INVALID, "query parameter \"%s\" is not JSON", name);
        if (!cJSON_AddItemToObject(overrides, name, tree)) {
                cJSON_Delete(tree);
                return err_set(e, ERR_NO_MEMORY, "no memory for a query parameter");
        }
        return 0;
}

static void put_done(void *ctx, const cJSON *model, bool created, const struct err *failed)
{
        struct http_request *rq = ctx;
        struct err e = {0};
        int rc = failed ? failed->code
                        : reply_json(&rq->reply, created ? 201 : 200, cJSON_Duplicate(model, true), &e);
        http_answer(rq, rc, failed ? failed : &e);
}

int api_models_put(void *ctx, struct http_request *rq, struct err *e)
{
        struct service *service = ((struct api *)ctx)->service;
        cJSON *overrides = cJSON_CreateObject();
        int rc = overrides ? target_only(&rq->target, "architecture input classes preprocessing", e)
                           : err_set(e, ERR_NO_MEMORY, "no memory for a model");
        if (rc == 0)
                rc = add_override(overrides, &rq->target, "architecture", e);
        if (rc == 0)
                rc = add_override(overrides, &rq->target, "input", e);
        if (rc == 0)
                rc = add_override(overrides, &rq->target, "classes", e);
        if (rc == 0)
                rc = add_override(overrides, &rq->target, "preprocessing", e);
        if (rc == 0)
                rc = jobs_may_save(service->jobs, &rq->who, api_name(rq), e);
        if (rc == 0) {
                char *path = rq->body.path;
                rq->body.path = NULL; /* models_put takes the file */
                rc = models_put(service->models, api_name(rq), &rq->who, path, overrides, put_done, rq, e);
                free(path);
        }
        cJSON_Delete(overrides);
        return rc ? rc : HTTP_LATER;
}

static void classified(void *ctx, struct str *json, const struct err *failed)
{
        api_answer_text(ctx, "application/json", json, failed);
}

static void drawn(void *ctx, struct str *png, const struct err *failed)
{
        api_answer_text(ctx, "image/png", png, failed);
}

const char *api_claim(const char *type)
{
        static const char *const none[] = {
                "", "application/octet-stream", "application/x-www-form-urlencoded"};
        for (size_t i = 0; i < sizeof none / sizeof none[0]; i++)
                if (strcmp(type, none[i]) == 0)
                        return NULL;
        return type;
}

int api_models_classify(void *ctx, struct http_request *rq, struct err *e)
{
        struct api *api = ctx;
        int64_t top = TOP_DEFAULT;
        const struct classify_caller caller = {
                .who = rq->who, .ctx = rq, .done = classified, .gone = api_left};
        int rc = target_only(&rq->target, "top", e);
        if (rc == 0)
                rc = target_get_int(&rq->target, "top", 1, TOP_MAX, &top, e);
        if (rc == 0)
                rc = api_model(api, rq, NULL, e);
        if (rc == 0 && rq->body.text.len == 0)
                rc = err_set(e, ERR_SYNTAX, "the body is empty: it must be an image");
        if (rc == 0)
                rc = classify_start(api->service->classify, api_name(rq), rq->body.text.data,
                        rq->body.text.len, api_claim(rq->media_type), (int)top, &caller, e);
        return rc ? rc : HTTP_LATER;
}

/* The parameter "layer", which must be there. */
static int get_layer(const struct target *t, const char **ret, struct err *e)
{
        int rc = target_only(t, "layer", e);
        *ret = target_get(t, "layer");
        if (rc == 0 && !*ret)
                rc = err_set(e, ERR_INVALID, "query parameter \"layer\" is needed, such as net.0");
        return rc;
}

int api_models_filters(void *ctx, struct http_request *rq, struct err *e)
{
        struct api *api = ctx;
        const struct classify_caller caller = {.who = rq->who, .ctx = rq, .done = drawn, .gone = api_left};
        const char *layer;
        int rc = api_model(api, rq, NULL, e);
        if (rc == 0)
                rc = get_layer(&rq->target, &layer, e);
        if (rc == 0)
                rc = classify_look(api->service->classify, api_name(rq), layer, NULL, 0, NULL, &caller, e);
        return rc ? rc : HTTP_LATER;
}

int api_models_activations(void *ctx, struct http_request *rq, struct err *e)
{
        struct api *api = ctx;
        const struct classify_caller caller = {.who = rq->who, .ctx = rq, .done = drawn, .gone = api_left};
        const char *layer;
        int rc = api_model(api, rq, NULL, e);
        if (rc == 0)
                rc = get_layer(&rq->target, &layer, e);
        if (rc == 0 && rq->body.text.len == 0)
                rc = err_set(e, ERR_SYNTAX, "the body is empty: it must be an image");
        if (rc == 0)
                rc = classify_look(api->service->classify, api_name(rq), layer, rq->body.text.data,
                        rq->body.text.len, api_claim(rq->media_type), &caller, e);
        return rc ? rc : HTTP_LATER;
}
