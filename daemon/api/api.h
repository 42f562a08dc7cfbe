/* The endpoints of the HTTP API: one routing table, one file for each resource. */
#ifndef CNND_API_H
#define CNND_API_H

#include "base/err.h"
#include "daemon/common/listing.h"
#include "daemon/people/access.h"
#include "daemon/api/curves.h"
#include "daemon/api/feed.h"
#include "daemon/http/http.h"
#include "daemon/api/importfeed.h"
#include "daemon/api/service.h"

#include <cjson/cJSON.h>
#include <stdint.h>

/* What the handlers work on; all borrowed. */
struct api {
        struct service *service;
        struct feed *feed;
        struct importfeed *importfeed;
        struct curves *curves;
        struct access *access;
        struct http *http; /* set after http_create, which needs this struct */
        int64_t started_ms;
};

/* For http_options; handlers take a struct api as their ctx. */
extern const struct http_route api_routes[];
int api_admit(void *ctx, struct http_request *rq, struct err *e);
int api_know(void *ctx, struct http_request *rq, struct err *e);
int api_peer(void *ctx, uid_t uid, struct identity *ret, struct err *e);
int api_enter(void *ctx, const struct identity *who, struct err *e);
void api_leave(void *ctx, const struct identity *who);
void api_worked(void *ctx, const struct identity *who, double seconds);
int64_t api_waited_us(void *ctx);

/* --- for the api_*.c files --- */

/* The request's JSON body; the caller frees *ret. ERR_SYNTAX for an empty one, ERR_TOO_LARGE for too many
 * values. */
int api_body(const struct http_request *rq, cJSON **ret, struct err *e);
/* What part of a list the query asks for, by "limit" and "after". */
int api_listing(const struct http_request *rq, struct listing *ret, struct err *e);
/* Takes `items` and answers {name: items}, with the parameter "after" to go on with where there are more. */
int api_reply_list(
        struct http_request *rq, const char *name, cJSON *items, const struct listing *l, struct err *e);
/* Ends HTTP_LATER: with what stands in *body, which is taken, or with `failed` where it is not NULL. */
void api_answer_text(struct http_request *rq, const char *type, struct str *body, const struct err *failed);
/* The stream of events that its Accept header likes better. */
enum feed_format api_stream_format(const struct http_request *rq);
/* A media type that claims something about an image, NULL for what curl sends by itself. Borrowed. */
const char *api_claim(const char *type);
/* Whether the client of `ctx`, a request, has gone: http_gone for those that answer later. */
bool api_left(void *ctx);
/* NAME of /v1/THING/NAME… and /v2/models/NAME…; borrowed. */
const char *api_name(const struct http_request *rq);
/* The job, model or data set that the address names, if it is open to who asks: first thing in every handler
   of one. What is another's answers as if it were not there (404): names and numbers tell nobody what others
   do. `query` is target_only's, looked at before; NULL: the handler does so. */
int api_job(
        const struct api *api, const struct http_request *rq, const char *query, int64_t *ret, struct err *e);
int api_model(const struct api *api, const struct http_request *rq, const char *query, struct err *e);
int api_dataset(const struct api *api, const struct http_request *rq, struct err *e);

int api_jobs_submit(void *ctx, struct http_request *rq, struct err *e);
int api_jobs_list(void *ctx, struct http_request *rq, struct err *e);
int api_jobs_get(void *ctx, struct http_request *rq, struct err *e);
int api_jobs_delete(void *ctx, struct http_request *rq, struct err *e);
int api_jobs_cancel(void *ctx, struct http_request *rq, struct err *e);
int api_jobs_pause(void *ctx, struct http_request *rq, struct err *e);
int api_jobs_resume(void *ctx, struct http_request *rq, struct err *e);
int api_jobs_events(void *ctx, struct http_request *rq, struct err *e);
int api_jobs_curve(void *ctx, struct http_request *rq, struct err *e);
int api_jobs_result(void *ctx, struct http_request *rq, struct err *e);

int api_models_list(void *ctx, struct http_request *rq, struct err *e);
int api_models_get(void *ctx, struct http_request *rq, struct err *e);
int api_models_delete(void *ctx, struct http_request *rq, struct err *e);
int api_models_weights(void *ctx, struct http_request *rq, struct err *e);
int api_models_onnx(void *ctx, struct http_request *rq, struct err *e);
int api_models_put(void *ctx, struct http_request *rq, struct err *e);
int api_models_classify(void *ctx, struct http_request *rq, struct err *e);
int api_models_map(void *ctx, struct http_request *rq, struct err *e);
int api_models_filters(void *ctx, struct http_request *rq, struct err *e);
int api_models_activations(void *ctx, struct http_request *rq, struct err *e);

int api_datasets_list(void *ctx, struct http_request *rq, struct err *e);
int api_datasets_get(void *ctx, struct http_request *rq, struct err *e);
int api_datasets_put(void *ctx, struct http_request *rq, struct err *e);
int api_datasets_events(void *ctx, struct http_request *rq, struct err *e);
int api_datasets_sheet(void *ctx, struct http_request *rq, struct err *e);
int api_datasets_delete(void *ctx, struct http_request *rq, struct err *e);

int api_nets_list(void *ctx, struct http_request *rq, struct err *e);
int api_nets_get_summary(void *ctx, struct http_request *rq, struct err *e);
int api_nets_post_summary(void *ctx, struct http_request *rq, struct err *e);

int api_oip_server(void *ctx, struct http_request *rq, struct err *e);
int api_oip_live(void *ctx, struct http_request *rq, struct err *e);
int api_oip_ready(void *ctx, struct http_request *rq, struct err *e);
int api_oip_index(void *ctx, struct http_request *rq, struct err *e);
int api_oip_model(void *ctx, struct http_request *rq, struct err *e);
int api_oip_model_ready(void *ctx, struct http_request *rq, struct err *e);
int api_oip_infer(void *ctx, struct http_request *rq, struct err *e);

int api_page(void *ctx, struct http_request *rq, struct err *e);
int api_page_file(void *ctx, struct http_request *rq, struct err *e);

int api_status_openapi(void *ctx, struct http_request *rq, struct err *e);
int api_status_health(void *ctx, struct http_request *rq, struct err *e);
int api_status_version(void *ctx, struct http_request *rq, struct err *e);
int api_status_devices(void *ctx, struct http_request *rq, struct err *e);
int api_status_device(void *ctx, struct http_request *rq, struct err *e);
int api_metrics(void *ctx, struct http_request *rq, struct err *e);

#endif
