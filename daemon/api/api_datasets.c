#include "daemon/api/api.h"

#include "data/import.h"
#include "data/sheet.h"

#include <stdlib.h>
#include <string.h>

int api_datasets_list(void *ctx, struct http_request *rq, struct err *e)
{
        struct datasets *ds = ((struct api *)ctx)->service->datasets;
        struct listing l;
        int rc = api_listing(rq, &l, e);
        return rc ? rc : api_reply_list(rq, "datasets", datasets_list(ds, &rq->who, &l), &l, e);
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

static void imported(void *ctx, const cJSON *set, bool created, const struct err *failed)
{
        struct http_request *rq = ctx;
        struct err e = {0};
        int rc = failed ? failed->code
                        : reply_json(&rq->reply, created ? 201 : 200, cJSON_Duplicate(set, true), &e);
        if (rc == 0 && created)
                reply_header(&rq->reply, "Location", "/v1/datasets/%s", api_name(rq));
        http_answer(rq, rc, failed ? failed : &e);
}

static int may_replace(void *ctx, const char *name, struct err *e)
{
        return jobs_spare_dataset(((struct service *)ctx)->jobs, name, e);
}

/* The query's options as the import takes them, each looked at. */
static int read_options(const struct target *t, cJSON *ret, struct err *e)
{
        struct import_options o;
        import_defaults(&o);
        int rc = target_only(t, IMPORT_OPTIONS, e);
        for (int i = 0; rc == 0 && i < t->query_count; i++) {
                rc = import_option(&o, t->query[i].name, t->query[i].value, e);
                if (rc == 0)
                        cJSON_AddStringToObject(ret, t->query[i].name, t->query[i].value);
        }
        return rc ? rc : import_options_check(&o, e);
}

/* The stream that a request likes better than JSON; false for none. */
static bool wants_events(const struct http_request *rq, enum feed_format *ret)
{
        static const char *const types[] = {
                "application/json", "text/event-stream", "application/x-ndjson", NULL};
        const char *type = media_choose(http_header(rq, "Accept"), types);
        *ret = type == types[1] ? FEED_SSE : FEED_NDJSON;
        return type != types[0];
}

static int start_import(const struct api *api, struct http_request *rq, const cJSON *options, bool stream,
        int *ret_id, struct err *e)
{
        const struct imports_caller caller = {.who = rq->who,
                .ctx = rq,
                .done = stream ? NULL : imported,
                .gone = stream ? NULL : api_left,
                .free_ctx = api->service,
                .free = may_replace};
        char *path = rq->body.path;
        rq->body.path = NULL; /* imports_start takes the file */
        int rc = imports_start(api->service->imports, api_name(rq), path, options, &caller, ret_id, e);
        free(path);
        return rc;
}

/* Answers when the import has ended; to who wants events at once, with them. */
int api_datasets_put(void *ctx, struct http_request *rq, struct err *e)
{
        struct api *api = ctx;
        enum feed_format format;
        bool stream = wants_events(rq, &format);
        int id = 0;
        cJSON *options = cJSON_CreateObject();
        int rc = options ? read_options(&rq->target, options, e)
                         : err_set(e, ERR_NO_MEMORY, "no memory for an import");
        if (rc == 0)
                rc = start_import(api, rq, options, stream, &id, e);
        cJSON_Delete(options);
        if (rc == 0 && !stream)
                return HTTP_LATER;
        if (rc == 0 && importfeed_open(api->importfeed, rq, id, format, true, e)) {
                imports_stop(api->service->imports, id, "there is no memory to tell of it");
                rc = e->code;
        }
        return rc;
}

int api_datasets_events(void *ctx, struct http_request *rq, struct err *e)
{
        struct api *api = ctx;
        int rc = target_only(&rq->target, "", e);
        if (rc)
                return rc;
        int id = imports_find(api->service->imports, &rq->who, api_name(rq));
        if (id)
                return importfeed_open(api->importfeed, rq, id, api_stream_format(rq), false, e);
        rc = api_dataset(api, rq, e);
        if (rc == 0) /* nothing is being imported */
                reply_empty(&rq->reply, 204);
        return rc;
}

static void drawn(void *ctx, struct chan_message *m, const struct err *failed)
{
        struct str png = {0};
        if (!failed)
                str_add_bytes(&png, m->raw, m->raw_len);
        api_answer_text(ctx, "image/png", &png, failed);
}

int api_datasets_sheet(void *ctx, struct http_request *rq, struct err *e)
{
        struct service *s = ((struct api *)ctx)->service;
        const struct dataset *d = NULL;
        struct sheet sheet = {0};
        const char *split = target_get(&rq->target, "split");
        int64_t images = SHEET_IMAGES;
        int rc = target_only(&rq->target, "split images", e);
        if (rc == 0 && split && strcmp(split, "train") != 0 && strcmp(split, "val") != 0)
                rc = err_set(e, ERR_INVALID, "\"split\" must be train or val");
        if (rc == 0)
                rc = target_get_int(&rq->target, "images", 1, SHEET_MAX_IMAGES, &images, e);
        if (rc == 0)
                rc = api_dataset(ctx, rq, e);
        if (rc == 0)
                rc = datasets_find(s->datasets, api_name(rq), &d, e);
        if (rc == 0) {
                bool val = split ? split[0] == 'v' : d->split[DATASET_TRAIN].count == 0;
                rc = sheet_gather(d, val ? DATASET_VAL : DATASET_TRAIN, (int)images, &sheet, e);
        }
        if (rc == 0)
                rc = decode_sheet(s->decode, &sheet, &(struct decode_caller){rq->who.user, drawn, rq}, e);
        free(sheet.maps);
        return rc ? rc : HTTP_LATER;
}

/* While one is being imported this stops it, and leaves what stands under that name. */
int api_datasets_delete(void *ctx, struct http_request *rq, struct err *e)
{
        struct api *api = ctx;
        struct imports *imports = api->service->imports;
        int rc = target_only(&rq->target, "", e);
        int id = rc ? 0 : imports_find(imports, &rq->who, api_name(rq));
        if (id) {
                imports_stop(imports, id, "the import was cancelled");
                reply_empty(&rq->reply, 204);
                return 0;
        }
        if (rc == 0)
                rc = api_dataset(api, rq, e);
        if (rc == 0)
                rc = jobs_spare_dataset(api->service->jobs, api_name(rq), e);
        if (rc == 0)
                do
                        rc = datasets_delete(api->service->datasets, &rq->who, api_name(rq), e);
                while (reserve_helps(api->service->reserve, rc));
        if (rc == 0)
                reply_empty(&rq->reply, 204);
        return rc;
}
