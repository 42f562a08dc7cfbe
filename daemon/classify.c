#include "daemon/classify.h"

#include "base/json.h"
#include "base/log.h"
#include "daemon/clock.h"
#include "daemon/maporder.h"
#include "daemon/wire.h"
#include "data/grid.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum phase { DECODING, WAITING, ON_DEVICE };

struct request {
        struct request *next; /* in order of arrival */
        struct classify *home;
        int64_t ticket, deadline_ms;
        enum phase phase;
        bool tried;              /* a worker was lost with it in hand */
        bool gone;               /* its caller is; only the decoder still knows it */
        int device;              /* while ON_DEVICE */
        char *model;             /* owned */
        char *layer;             /* owned; of classify_look, else NULL */
        struct classify_map map; /* of classify_map, else with a window of 0 */
        struct model_shape shape;
        int top, n;
        float *pixels; /* owned; kept until the answer, for a second try */
        cJSON *image;  /* owned; what the decoder told of the body */
        size_t bytes;
        struct classify_caller caller;
};

struct classify {
        struct models *models;
        struct decode *decode;
        struct supervisor *supervisor;
        struct request *list;
        int count;
        int64_t next_ticket;
        uint64_t images; /* answered */
        int64_t look_ms; /* when to look next for callers that left */
};

struct classify *classify_create(struct models *ms, struct decode *dc, struct supervisor *sv)
{
        struct classify *cl = calloc(1, sizeof *cl);
        if (!cl)
                return NULL;
        cl->models = ms;
        cl->decode = dc;
        cl->supervisor = sv;
        return cl;
}

static void request_free(struct request *r)
{
        free(r->model);
        free(r->layer);
        free(r->pixels);
        cJSON_Delete(r->image);
        free(r);
}

void classify_destroy(struct classify *cl)
{
        if (!cl)
                return;
        while (cl->list) {
                struct request *r = cl->list;
                cl->list = r->next;
                request_free(r);
        }
        free(cl);
}

static void forget(struct request *r)
{
        struct classify *cl = r->home;
        for (struct request **place = &cl->list; *place; place = &(*place)->next)
                if (*place == r) {
                        *place = r->next;
                        cl->count--;
                        break;
                }
        request_free(r);
}

/* Takes `result`. */
static void answer(struct request *r, cJSON *result, const struct err *e)
{
        if (r->gone)
                cJSON_Delete(result);
        else if (r->caller.drawn)
                r->caller.drawn(r->caller.ctx, NULL, e);
        else
                r->caller.done(r->caller.ctx, result, e);
        forget(r);
}

struct ranked {
        float logit;
        int index;
};

static int by_logit(const void *a, const void *b)
{
        const struct ranked *x = a, *y = b;
        if (x->logit != y->logit)
                return x->logit > y->logit ? -1 : 1;
        return x->index - y->index;
}

static cJSON *predictions(const float *logits, struct ranked *ranks, int classes, int top, char **names)
{
        double sum = 0.0;
        cJSON *list = cJSON_CreateArray();
        for (int i = 0; i < classes; i++)
                ranks[i] = (struct ranked){logits[i], i};
        qsort(ranks, (size_t)classes, sizeof *ranks, by_logit);
        for (int i = 0; i < classes; i++)
                sum += exp((double)ranks[i].logit - (double)ranks[0].logit);
        for (int i = 0; list && i < classes && i < top; i++) {
                cJSON *o = cJSON_CreateObject();
                cJSON_AddStringToObject(o, "label", names[ranks[i].index]);
                cJSON_AddNumberToObject(o, "index", ranks[i].index);
                cJSON_AddNumberToObject(
                        o, "probability", exp((double)ranks[i].logit - (double)ranks[0].logit) / sum);
                cJSON_AddNumberToObject(o, "logit", (double)ranks[i].logit);
                json_push(list, o);
        }
        return list;
}

/* `logits` (n,classes). */
static int build_result(const struct request *r, const float *logits, int classes, cJSON **ret, struct err *e)
{
        char **names;
        int count;
        int rc = models_classes(r->home->models, r->model, &names, &count, e);
        if (rc)
                return rc;
        struct ranked *ranks = malloc((size_t)classes * sizeof *ranks);
        cJSON *result = cJSON_CreateObject();
        if (!ranks || !result || count != classes) {
                rc = count != classes ? err_set(e, ERR_UNAVAILABLE,
                                                "the model '%s' was just replaced; try again", r->model)
                                      : err_set(e, ERR_NO_MEMORY, "no memory for results");
                cJSON_Delete(result);
        } else {
                cJSON_AddStringToObject(result, "model", r->model);
                if (r->image)
                        json_add(result, "image", cJSON_Duplicate(r->image, true));
                cJSON *results = cJSON_AddArrayToObject(result, "results");
                for (int i = 0; i < r->n; i++) {
                        cJSON *one = cJSON_CreateObject();
                        json_add(one, "predictions",
                                predictions(logits + (size_t)i * (size_t)classes, ranks, classes,
                                        r->top ? r->top : classes, names));
                        json_push(results, one);
                }
                *ret = result;
        }
        free(ranks);
        models_free_classes(names, count);
        return rc;
}

static void decoded(void *ctx, struct chan_message *m, const struct err *error)
{
        struct request *r = ctx;
        const cJSON *n = json_field(m->head, "n");
        struct err e;
        size_t image = (size_t)r->shape.c * (size_t)r->shape.h * (size_t)r->shape.w * sizeof(float);
        if (r->gone) {
                forget(r);
                return;
        }
        if (!error && r->map.window && maporder_check(&r->map, r->shape.c, m, &e))
                error = &e;
        if (!error && !r->map.window &&
                (!cJSON_IsNumber(n) || n->valueint < 1 || m->raw_len != (size_t)n->valueint * image)) {
                err_set(&e, ERR_INTERNAL, "the decoder's answer cannot be read");
                error = &e;
        }
        if (!error && r->layer && n->valueint != 1) {
                err_set(&e, ERR_INVALID, "one image is looked at; %d came", n->valueint);
                error = &e;
        }
        if (error) {
                answer(r, NULL, error);
                return;
        }
        r->n = r->map.window ? 1 : n->valueint;
        r->image = cJSON_DetachItemFromObjectCaseSensitive(m->head, "image");
        r->pixels = m->raw;
        r->bytes = m->raw_len;
        m->raw = NULL;
        m->raw_len = 0;
        r->phase = WAITING;
}

static void append(struct classify *cl, struct request *r)
{
        struct request **place = &cl->list;
        while (*place)
                place = &(*place)->next;
        *place = r;
        cl->count++;
}

static int maps(const struct classify *cl)
{
        int count = 0;
        for (const struct request *r = cl->list; r; r = r->next)
                count += r->map.window != 0;
        return count;
}

/* What is asked for beyond an image's classes: a layer or a map, or neither. */
struct wish {
        const char *layer;
        const struct classify_map *map;
        int top;
};

static int start(struct classify *cl, const char *model, const struct wish *wish, const void *body,
        size_t len, const char *media_type, const struct classify_caller *caller, struct err *e)
{
        struct model_shape shape;
        int rc = models_shape(cl->models, model, &shape, e);
        if (rc)
                return rc;
        if (cl->count >= CLASSIFY_MAX_PENDING)
                return err_set(e, ERR_QUOTA, "%d classifications wait already; try again", cl->count);
        if (wish->map && maps(cl) >= CLASSIFY_MAX_MAPS)
                return err_set(e, ERR_QUOTA, "%d maps are being made already; try again", CLASSIFY_MAX_MAPS);
        struct request *r = calloc(1, sizeof *r);
        if (!r)
                return err_set(e, ERR_NO_MEMORY, "no memory for a request");
        *r = (struct request){.home = cl,
                .ticket = ++cl->next_ticket,
                .deadline_ms = clock_now_ms() + (wish->map ? CLASSIFY_MAP_TIMEOUT_MS : CLASSIFY_TIMEOUT_MS),
                .phase = body ? DECODING : WAITING,
                .model = strdup(model),
                .layer = wish->layer ? strdup(wish->layer) : NULL,
                .map = wish->map ? *wish->map : (struct classify_map){0},
                .shape = shape,
                .top = wish->top,
                .caller = *caller};
        if (!r->model || (wish->layer && !r->layer))
                rc = err_set(e, ERR_NO_MEMORY, "no memory for a request");
        const struct decode_target target = {shape.c, shape.h, shape.w, &shape.recipe};
        if (rc == 0 && body)
                rc = (wish->map ? decode_field : decode_image)(
                        cl->decode, body, len, media_type, &target, decoded, r, e);
        if (rc)
                request_free(r);
        else
                append(cl, r);
        return rc;
}

int classify_start(struct classify *cl, const char *model, const void *body, size_t len,
        const char *media_type, int top, const struct classify_caller *caller, struct err *e)
{
        return start(cl, model, &(struct wish){.top = top}, body, len, media_type, caller, e);
}

int classify_look(struct classify *cl, const char *model, const char *layer, const void *body, size_t len,
        const char *media_type, const struct classify_caller *caller, struct err *e)
{
        return start(cl, model, &(struct wish){.layer = layer}, body, len, media_type, caller, e);
}

int classify_map(struct classify *cl, const char *model, const struct classify_map *how, const void *body,
        size_t len, const char *media_type, const struct classify_caller *caller, struct err *e)
{
        return start(cl, model, &(struct wish){.map = how}, body, len, media_type, caller, e);
}

static struct request *find(struct classify *cl, int64_t ticket)
{
        for (struct request *r = cl->list; r; r = r->next)
                if (r->ticket == ticket)
                        return r;
        return NULL;
}

/* Ends a request that no device has begun. While the decoder works on it, it stays as a gone one: the
   decoder's callback points to it. */
static void abandon(struct request *r, const struct err *e)
{
        if (r->caller.drawn)
                r->caller.drawn(r->caller.ctx, NULL, e);
        else
                r->caller.done(r->caller.ctx, NULL, e);
        r->gone = true;
        if (r->phase != DECODING || decode_drop(r->home->decode, r))
                forget(r);
}

static bool caller_left(const struct request *r)
{
        return r->caller.gone && r->caller.gone(r->caller.ctx);
}

/* Tells the worker that it need not go on with a map. */
static void drop_map(struct request *r)
{
        struct err e;
        cJSON *head = cJSON_CreateObject();
        cJSON_AddStringToObject(head, "op", "drop");
        cJSON_AddNumberToObject(head, "request", (double)r->ticket);
        if (supervisor_send(r->home->supervisor, r->device, head, NULL, 0, &e))
                log_line(LOG_WARN, "a map that nobody waits for goes on: %s", e.message);
        cJSON_Delete(head);
}

static void cancel(struct request *r)
{
        struct err e;
        if (r->phase == ON_DEVICE)
                drop_map(r);
        err_set(&e, ERR_CANCELLED, "nobody waits for this classification any more");
        abandon(r, &e);
}

static int whole(const cJSON *head, const char *key)
{
        const cJSON *v = json_field(head, key);
        return cJSON_IsNumber(v) && v->valueint > 0 ? v->valueint : 0;
}

/* The worker's maps as a picture. */
static void draw(struct request *r, const struct chan_message *m)
{
        struct err e;
        struct str png = {0};
        const int count = whole(m->head, "count"), channels = whole(m->head, "channels");
        const int h = whole(m->head, "h"), w = whole(m->head, "w");
        const double floats = (double)count * channels * h * w;
        int rc;
        if (json_field(m->head, "error"))
                rc = wire_error_read(json_field(m->head, "error"), &e);
        else if (floats < 1 || (double)m->raw_len != floats * sizeof(float))
                rc = err_set(&e, ERR_INTERNAL, "the worker's answer cannot be read");
        else
                rc = grid_png(m->raw, count, channels, h, w, &png, &e);
        r->caller.drawn(r->caller.ctx, &png, rc ? &e : NULL);
        str_free(&png);
        forget(r);
}

/* The worker's map, which is the body as it is. */
static void hand_on(struct request *r, const struct chan_message *m)
{
        struct err e;
        struct str body = {0};
        int rc = 0;
        if (json_field(m->head, "error"))
                rc = wire_error_read(json_field(m->head, "error"), &e);
        else if (m->raw_len == 0)
                rc = err_set(&e, ERR_INTERNAL, "the worker's answer cannot be read");
        else
                str_add_bytes(&body, m->raw, m->raw_len);
        r->caller.drawn(r->caller.ctx, &body, rc ? &e : NULL);
        str_free(&body);
        forget(r);
}

void classify_answer(struct classify *cl, int device, struct chan_message *m)
{
        const cJSON *classes = json_field(m->head, "classes");
        struct request *r = find(cl, wire_int(m->head, "request")); /* tickets begin at 1 */
        struct err e;
        cJSON *result = NULL;
        supervisor_progress(cl->supervisor, device);
        if (!r || r->phase != ON_DEVICE || r->device != device)
                return;
        if (r->layer || r->map.window) {
                (r->layer ? draw : hand_on)(r, m);
                return;
        }
        int rc;
        if (json_field(m->head, "error"))
                rc = wire_error_read(json_field(m->head, "error"), &e);
        else if (!cJSON_IsNumber(classes) || classes->valueint < 1 ||
                 m->raw_len != (size_t)r->n * (size_t)classes->valueint * sizeof(float))
                rc = err_set(&e, ERR_INTERNAL, "the worker's answer cannot be read");
        else
                rc = build_result(r, m->raw, classes->valueint, &result, &e);
        if (rc == 0)
                cl->images += (uint64_t)r->n;
        answer(r, result, rc ? &e : NULL);
}

uint64_t classify_images(const struct classify *cl)
{
        return cl->images;
}

void classify_lost(struct classify *cl, int device)
{
        for (struct request *r = cl->list, *next; r; r = next) {
                next = r->next;
                if (r->phase != ON_DEVICE || r->device != device)
                        continue;
                if (!r->tried) {
                        r->tried = true;
                        r->phase = WAITING;
                        continue;
                }
                struct err e;
                err_set(&e, ERR_UNAVAILABLE,
                        "the device's worker was lost twice while it classified this; try again");
                answer(r, NULL, &e);
        }
}

/* The ready device with the fewest requests, an idle one before one that trains; -1 for none. */
static int least_busy(const struct classify *cl)
{
        int best = -1, best_load = 0;
        for (int i = 0; i < supervisor_count(cl->supervisor); i++) {
                if (supervisor_state(cl->supervisor, i) != DEVICE_READY)
                        continue;
                int load = supervisor_job(cl->supervisor, i) ? 4 : 0;
                for (const struct request *r = cl->list; r; r = r->next)
                        load += r->phase == ON_DEVICE && r->device == i;
                if (best < 0 || load < best_load) {
                        best = i;
                        best_load = load;
                }
        }
        return best;
}

/* The model may have been replaced since the body was fitted to it. */
static int send_request(struct request *r, int device, struct err *e)
{
        struct model_shape shape;
        int rc = models_shape(r->home->models, r->model, &shape, e);
        if (rc)
                return rc;
        if (shape.c != r->shape.c || shape.h != r->shape.h || shape.w != r->shape.w ||
                !recipe_same(&shape.recipe, &r->shape.recipe))
                return err_set(e, ERR_UNAVAILABLE, "the model '%s' was just replaced; try again", r->model);
        cJSON *head = cJSON_CreateObject();
        char *path = models_path(r->home->models, r->model);
        if (!head || !path) {
                rc = err_set(e, ERR_NO_MEMORY, "no memory for a request");
        } else {
                cJSON_AddStringToObject(head, "op", r->layer ? "look" : r->map.window ? "map" : "classify");
                if (r->layer)
                        cJSON_AddStringToObject(head, "layer", r->layer);
                cJSON_AddNumberToObject(head, "request", (double)r->ticket);
                cJSON_AddStringToObject(head, "model", path);
                cJSON_AddNumberToObject(head, "generation", (double)shape.generation);
                cJSON_AddNumberToObject(head, "n", r->n);
                if (r->map.window)
                        rc = maporder_fill(&r->map, r->home->models, r->model, r->image, shape.c, head, e);
                if (rc == 0)
                        rc = supervisor_send(r->home->supervisor, device, head, r->pixels, r->bytes, e);
        }
        free(path);
        cJSON_Delete(head);
        if (rc == 0) {
                r->phase = ON_DEVICE;
                r->device = device;
        }
        return rc;
}

static void give_up(struct request *r)
{
        struct err e;
        err_set(&e, ERR_UNAVAILABLE,
                "all devices are quarantined: see GET /v1/devices, and restart cnnd when the driver is "
                "repaired");
        abandon(r, &e);
}

static void expire(struct request *r)
{
        struct err e;
        err_set(&e, ERR_UNAVAILABLE, "no device could take it within %d s",
                (r->map.window ? CLASSIFY_MAP_TIMEOUT_MS : CLASSIFY_TIMEOUT_MS) / 1000);
        if (r->map.window && r->phase == ON_DEVICE)
                drop_map(r);
        if (r->phase == ON_DEVICE)
                answer(r, NULL, &e);
        else
                abandon(r, &e);
}

/* What a device has begun is soon done, but for a map. */
static bool may_leave(const struct request *r)
{
        return r->phase != ON_DEVICE || r->map.window;
}

void classify_tick(struct classify *cl, int64_t now_ms)
{
        bool look = cl->list && now_ms >= cl->look_ms;
        if (look)
                cl->look_ms = now_ms + CLASSIFY_LOOK_MS;
        for (struct request *r = cl->list, *next; r; r = next) {
                struct err e;
                next = r->next;
                int device = r->phase == WAITING ? least_busy(cl) : -1;
                if (r->gone)
                        continue;
                if (now_ms >= r->deadline_ms)
                        expire(r);
                else if (r->phase == WAITING && supervisor_all_quarantined(cl->supervisor))
                        give_up(r);
                else if ((device >= 0 || (look && may_leave(r))) && caller_left(r))
                        cancel(r);
                else if (device >= 0 && send_request(r, device, &e))
                        answer(r, NULL, &e);
        }
}

int classify_timeout_ms(const struct classify *cl, int64_t now_ms)
{
        int64_t due = INT64_MAX;
        for (const struct request *r = cl->list; r; r = r->next)
                if (!r->gone) {
                        int64_t next = may_leave(r) ? cl->look_ms : r->deadline_ms;
                        due = next < due ? next : due;
                }
        if (due == INT64_MAX)
                return -1;
        return due > now_ms ? (int)(due - now_ms) : 0;
}
