#include "daemon/api/api.h"

#include "base/json.h"
#include "daemon/api/oipanswer.h"
#include "daemon/api/oipindex.h"

#include <stdlib.h>
#include <string.h>

/* A small answer that is always the same. */
static int say(struct http_request *rq, const char *json, struct err *e)
{
        struct str text = {0};
        str_add(&text, json);
        return reply_text(&rq->reply, 200, "application/json", &text, e);
}

int api_oip_server(void *ctx, struct http_request *rq, struct err *e)
{
        (void)ctx;
        int rc = target_only(&rq->target, "", e);
        return rc ? rc
                  : say(rq,
                            "{\"name\":\"cnnd\",\"version\":\"" CNND_VERSION
                            "\",\"extensions\":[\"binary_tensor_data\",\"classification\"]}\n",
                            e);
}

int api_oip_live(void *ctx, struct http_request *rq, struct err *e)
{
        (void)ctx;
        int rc = target_only(&rq->target, "", e);
        return rc ? rc : say(rq, "{\"live\":true}\n", e);
}

int api_oip_ready(void *ctx, struct http_request *rq, struct err *e)
{
        int rc = target_only(&rq->target, "", e);
        if (rc == 0)
                rc = service_health(((struct api *)ctx)->service, e);
        return rc ? rc : say(rq, "{\"ready\":true}\n", e);
}

/* Whether only those that are ready are asked for; the body may be empty. */
static int read_index(const struct http_request *rq, bool *ret_ready, struct err *e)
{
        cJSON *tree = NULL;
        *ret_ready = false;
        if (rq->body.text.len == 0)
                return 0;
        int rc = api_body(rq, &tree, e);
        if (rc == 0)
                rc = json_is_object(tree, "", e);
        if (rc == 0)
                rc = json_only(tree, "ready", "", e);
        if (rc == 0)
                rc = json_get_bool(tree, "ready", "", ret_ready, e);
        cJSON_Delete(tree);
        return rc;
}

int api_oip_index(void *ctx, struct http_request *rq, struct err *e)
{
        struct reply_stream stream;
        bool ready;
        int rc = target_only(&rq->target, "", e);
        if (rc == 0)
                rc = read_index(rq, &ready, e);
        if (rc == 0)
                rc = oipindex_open(((struct api *)ctx)->service->models, &rq->who, ready, &stream, e);
        if (rc == 0)
                reply_stream(&rq->reply, "application/json", &stream);
        return rc;
}

/* The model of the address, in the version that it may name. *ret as models_facts. */
static int find_model(
        const struct api *api, const struct http_request *rq, const struct model_facts **ret, struct err *e)
{
        const struct target *t = &rq->target;
        int rc = api_model(api, rq, "", e);
        if (rc == 0 && t->part_count > 4 && strcmp(t->part[4], OIP_VERSION) != 0)
                rc = err_set(e, ERR_NOT_FOUND,
                        "there is no version \"%.40s\" of the model '%s': " OIP_VERSION " is the only one",
                        t->part[4], api_name(rq));
        return rc ? rc : models_facts(api->service->models, api_name(rq), ret, e);
}

int api_oip_model(void *ctx, struct http_request *rq, struct err *e)
{
        const struct model_facts *model;
        struct str text = {0};
        int rc = find_model(ctx, rq, &model, e);
        if (rc)
                return rc;
        oipanswer_describe(&text, model);
        return reply_text(&rq->reply, 200, "application/json", &text, e);
}

int api_oip_model_ready(void *ctx, struct http_request *rq, struct err *e)
{
        const struct service *service = ((struct api *)ctx)->service;
        const struct model_facts *model;
        struct str text = {0};
        int rc = find_model(ctx, rq, &model, e);
        if (rc == 0)
                rc = models_look(service->models, api_name(rq), e);
        if (rc == 0)
                rc = service_health(service, e);
        if (rc)
                return rc;
        str_add(&text, "{\"name\":");
        str_add_json(&text, api_name(rq));
        str_add(&text, ",\"ready\":true}\n");
        return reply_text(&rq->reply, 200, "application/json", &text, e);
}

/* --- infer --- */

static int write_answer(void *ctx, struct str *out, const struct model_facts *model, const cJSON *files,
        const float *logits, int n, struct err *e)
{
        struct http_request *rq = ctx;
        return oipanswer_write(out, rq->note, model, files, logits, n, e);
}

static void inferred(void *ctx, struct str *body, const struct err *failed)
{
        struct http_request *rq = ctx;
        const struct oip_request *asked = rq->note;
        const size_t json_bytes = asked->json_bytes;
        struct err e = {0};
        int rc = failed ? failed->code
                        : reply_text(&rq->reply, 200,
                                  json_bytes ? "application/octet-stream" : "application/json", body, &e);
        if (rc == 0 && json_bytes)
                reply_header(&rq->reply, "Inference-Header-Content-Length", "%zu", json_bytes);
        http_answer(rq, rc, failed ? failed : &e);
}

/* What Inference-Header-Content-Length says, -1 without one. */
static int read_header(const struct http_request *rq, int64_t *ret, struct err *e)
{
        const char *text = http_header(rq, "Inference-Header-Content-Length");
        *ret = -1;
        if (!text)
                return 0;
        const size_t n = strspn(text, "0123456789");
        if (n == 0 || n > 15 || text[n])
                return err_set(e, ERR_SYNTAX, "Inference-Header-Content-Length is not a whole number");
        *ret = strtoll(text, NULL, 10);
        return 0;
}

/* How many classes of an image the answer tells as text, 0 for all: what is binary costs no time. */
static int told_as_text(const struct oip_request *r)
{
        int most = 1;
        for (int i = 0; i < r->output_count; i++) {
                const struct oip_output *o = &r->output[i];
                if (!o->binary && !o->best)
                        return 0;
                most = o->best > most ? o->best : most;
        }
        return most;
}

static int start(const struct api *api, struct http_request *rq, const struct model_facts *model,
        int64_t json_bytes, struct err *e)
{
        const struct classify_caller caller = {
                .who = rq->who, .ctx = rq, .done = inferred, .gone = api_left, .write = write_answer};
        struct oip_body body;
        rq->note = malloc(sizeof(struct oip_request));
        if (!rq->note)
                return err_set(e, ERR_NO_MEMORY, "no memory for a request");
        int rc = oip_read(
                rq->body.text.data, rq->body.text.len, json_bytes, &model->shape, rq->note, &body, e);
        if (rc == 0)
                rc = classify_start(api->service->classify, api_name(rq), body.data, body.len, body.media,
                        told_as_text(rq->note), &caller, e);
        str_free(&body.made);
        return rc;
}

int api_oip_infer(void *ctx, struct http_request *rq, struct err *e)
{
        const struct model_facts *model;
        int64_t json_bytes;
        int rc = find_model(ctx, rq, &model, e);
        if (rc == 0 && rq->media_type[0] && !media_is_json(rq->media_type))
                rc = err_set(e, ERR_MEDIA,
                        "the body is application/json, or application/octet-stream with tensors in binary, "
                        "not %s",
                        rq->media_type);
        if (rc == 0)
                rc = read_header(rq, &json_bytes, e);
        if (rc == 0 && rq->body.text.len == 0)
                rc = err_set(e, ERR_SYNTAX, "the body is empty");
        if (rc == 0)
                rc = start(ctx, rq, model, json_bytes, e);
        return rc ? rc : HTTP_LATER;
}
