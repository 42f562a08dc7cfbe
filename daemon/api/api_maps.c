#include "daemon/api/api.h"

#include "daemon/common/media.h"

enum { WINDOW_DEFAULT = 128, SIDE_MAX = 65536 };

static const double threshold_default = 0.5;

static int get_threshold(const struct target *t, double *ret, struct err *e)
{
        const char *text = target_get(t, "threshold");
        double v;
        *ret = threshold_default;
        if (!text)
                return 0;
        if (!str_to_number(text, &v) || !(v >= 0 && v <= 1))
                return err_set(e, ERR_INVALID,
                        "query parameter \"threshold\" is a number from 0 to 1, not \"%s\"", text);
        *ret = v;
        return 0;
}

static int read_query(const struct target *t, struct classify_map *ret, struct err *e)
{
        int64_t window = WINDOW_DEFAULT, stride;
        int rc = target_only(t, "window stride threshold", e);
        if (rc == 0)
                rc = target_get_int(t, "window", 1, SIDE_MAX, &window, e);
        stride = (window + 1) / 2;
        if (rc == 0)
                rc = target_get_int(t, "stride", 1, window, &stride, e);
        ret->window = (int)window;
        ret->stride = (int)stride;
        return rc ? rc : get_threshold(t, &ret->threshold, e);
}

static void answer(struct http_request *rq, const char *type, struct str *body, const struct err *failed)
{
        if (!failed)
                reply_header(&rq->reply, "Vary", "Accept");
        api_answer_text(rq, type, body, failed);
}

static void painted(void *ctx, struct str *png, const struct err *failed)
{
        answer(ctx, "image/png", png, failed);
}

static void listed(void *ctx, struct str *json, const struct err *failed)
{
        answer(ctx, "application/json", json, failed);
}

int api_models_map(void *ctx, struct http_request *rq, struct err *e)
{
        static const char *const types[] = {"application/json", "image/png", NULL};
        struct api *api = ctx;
        struct classify_map how = {.picture = media_choose(http_header(rq, "Accept"), types) == types[1]};
        const struct classify_caller caller = {
                .who = rq->who, .ctx = rq, .done = how.picture ? painted : listed, .gone = api_left};
        int rc = api_model(api, rq, NULL, e);
        if (rc == 0)
                rc = read_query(&rq->target, &how, e);
        if (rc == 0 && rq->body.text.len == 0)
                rc = err_set(e, ERR_SYNTAX, "the body is empty: it must be an image");
        if (rc == 0)
                rc = classify_map(api->service->classify, api_name(rq), &how, rq->body.text.data,
                        rq->body.text.len, api_claim(rq->media_type), &caller, e);
        return rc ? rc : HTTP_LATER;
}
