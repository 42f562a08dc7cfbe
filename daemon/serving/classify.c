#include "daemon/serving/classify.h"

#include "base/clock.h"
#include "daemon/decoder/album.h"
#include "daemon/serving/crowd.h"
#include "daemon/serving/maporder.h"
#include "daemon/serving/predictions.h"
#include "daemon/serving/solo.h"
#include "daemon/common/wire.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

struct classify *classify_create(
        const struct batch_options *o, struct models *ms, struct decode *dc, struct supervisor *sv)
{
        struct classify *cl = calloc(1, sizeof *cl);
        if (!cl)
                return NULL;
        cl->models = ms;
        cl->decode = dc;
        cl->supervisor = sv;
        cl->batches.o = *o;
        cl->due_us = INT64_MAX;
        return cl;
}

void classify_destroy(struct classify *cl)
{
        if (!cl)
                return;
        while (cl->list) {
                struct enquiry *q = cl->list;
                cl->list = q->next;
                enquiry_free(q);
        }
        batches_finish(&cl->batches);
        free(cl);
}

/* What lies behind the floats: the facts of `count` files. */
static int take_facts(struct enquiry *q, const char *from, int count, struct err *e)
{
        int rc = 0;
        for (int i = count - 1; i >= 0 && rc == 0; i--) { /* the first are kept */
                memcpy(&q->facts, from + (size_t)i * sizeof q->facts, sizeof q->facts);
                rc = image_facts_check(&q->facts, e);
        }
        return rc;
}

/* Takes the floats and the facts behind them from the decoder's answer. */
static int take_images(struct enquiry *q, struct chan_message *m, struct err *e)
{
        const size_t image = (size_t)q->shape.c * (size_t)q->shape.h * (size_t)q->shape.w * sizeof(float);
        int images = 0, facts = 1;
        q->files = cJSON_DetachItemFromObjectCaseSensitive(m->head, "files");
        int rc = q->files ? album_count(q->files, &images, &facts, e) : 0;
        if (rc)
                return rc;
        const size_t tail = (size_t)facts * sizeof q->facts;
        const size_t bytes = m->raw_len > tail ? m->raw_len - tail : 0;
        const size_t n = q->map.window ? 1 : bytes / image;
        if (bytes == 0 || n < 1 || n > INT_MAX || (!q->map.window && bytes % image) ||
                (q->files && n != (size_t)images))
                return err_set(e, ERR_INTERNAL, "the decoder's answer cannot be read");
        rc = take_facts(q, (const char *)m->raw + bytes, facts, e);
        if (rc == 0 && q->map.window)
                rc = maporder_check(&q->map, q->shape.c, &q->facts, bytes, e);
        if (rc == 0 && !q->map.window && !q->layer)
                rc = predictions_fit((int)n, q->shape.num_classes, q->top, e);
        if (rc == 0 && q->layer && n != 1)
                rc = err_set(e, ERR_INVALID, "one image is looked at; %zu came", n);
        if (rc)
                return rc;
        q->n = (int)n;
        q->bytes = bytes;
        q->pixels = m->raw;
        m->raw = NULL;
        m->raw_len = 0;
        return 0;
}

static void decoded(void *ctx, struct chan_message *m, const struct err *error)
{
        struct enquiry *q = ctx;
        struct err e;
        if (q->gone) {
                enquiry_answer(q, NULL, NULL);
                return;
        }
        if (!error && take_images(q, m, &e))
                error = &e;
        if (error) {
                enquiry_answer(q, NULL, error);
                return;
        }
        q->phase = ENQUIRY_WAITING;
        q->since_us = clock_now_us();
        if (enquiry_is_long(q))
                q->deadline_ms = clock_now_ms() + CLASSIFY_MAP_TIMEOUT_MS;
}

static void append(struct classify *cl, struct enquiry *q)
{
        struct enquiry **place = &cl->list;
        while (*place)
                place = &(*place)->next;
        *place = q;
        cl->count++;
}

/* What is asked for beyond an image's classes: a layer or a map, or neither. */
struct wish {
        const char *layer;
        const struct classify_map *map;
        int top;
};

/* Whether there is room for one more, of all and of this user. */
static int find_room(
        const struct classify *cl, const struct wish *wish, const struct identity *who, struct err *e)
{
        int maps = 0, own = 0, own_maps = 0;
        for (const struct enquiry *q = cl->list; q; q = q->next) {
                const bool map = q->map.window != 0, mine = strcmp(q->caller.who.user, who->user) == 0;
                maps += map;
                own += mine;
                own_maps += mine && map;
        }
        if (own >= CLASSIFY_SHARE && !who->operator)
                return err_set(e, ERR_QUOTA,
                        "%d classifications of yours wait, and no more may: go on when some are answered",
                        own);
        if (cl->count >= CLASSIFY_MAX_PENDING)
                return err_set(e, ERR_QUOTA, "%d classifications wait already; try again", cl->count);
        if (wish->map && own_maps >= CLASSIFY_MAPS_SHARE && !who->operator)
                return err_set(e, ERR_QUOTA, "a map of yours is being made; try again when it is there");
        if (wish->map && maps >= CLASSIFY_MAX_MAPS)
                return err_set(e, ERR_QUOTA, "%d maps are being made already; try again", CLASSIFY_MAX_MAPS);
        return 0;
}

static int start(struct classify *cl, const char *model, const struct wish *wish, const void *body,
        size_t len, const char *media_type, const struct classify_caller *caller, struct err *e)
{
        const struct model_facts *f;
        int rc = models_facts(cl->models, model, &f, e);
        if (rc == 0)
                rc = find_room(cl, wish, &caller->who, e);
        if (rc)
                return rc;
        struct enquiry *q = calloc(1, sizeof *q);
        if (!q)
                return err_set(e, ERR_NO_MEMORY, "no memory for a request");
        *q = (struct enquiry){.home = cl,
                .ticket = ++cl->next_ticket,
                .deadline_ms = clock_now_ms() + (wish->map ? CLASSIFY_MAP_TIMEOUT_MS : CLASSIFY_TIMEOUT_MS),
                .phase = body ? ENQUIRY_DECODING : ENQUIRY_WAITING,
                .model = strdup(model),
                .layer = wish->layer ? strdup(wish->layer) : NULL,
                .map = wish->map ? *wish->map : (struct classify_map){0},
                .shape = f->shape,
                .top = wish->top,
                .caller = *caller};
        if (!q->model || (wish->layer && !q->layer))
                rc = err_set(e, ERR_NO_MEMORY, "no memory for a request");
        const struct decode_target target = {q->shape.c, q->shape.h, q->shape.w, &q->shape.recipe};
        const struct decode_caller to = {caller->who.user, decoded, q};
        if (rc == 0 && body)
                rc = (wish->map ? decode_field : decode_image)(
                        cl->decode, body, len, media_type, &target, &to, e);
        if (rc)
                enquiry_free(q);
        else
                append(cl, q);
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

static struct enquiry *find(struct classify *cl, int64_t ticket)
{
        for (struct enquiry *q = cl->list; q; q = q->next)
                if (q->ticket == ticket)
                        return q;
        return NULL;
}

void classify_answer(struct classify *cl, int device, struct chan_message *m)
{
        int64_t ticket = wire_int(m->head, "request"); /* they begin at 1 */
        struct batch *b = batches_end(&cl->batches, ticket, device, clock_now_us());
        struct enquiry *q = b ? NULL : find(cl, ticket);
        supervisor_progress(cl->supervisor, device);
        if (b)
                crowd_answer(cl, b, m);
        else if (q && q->phase == ENQUIRY_ON_DEVICE && q->device == device && !q->batch)
                solo_answer(q, m);
        free(b);
}

uint64_t classify_images(const struct classify *cl)
{
        return cl->images;
}

uint64_t classify_batches(const struct classify *cl)
{
        return cl->batches.begun;
}

void classify_lost(struct classify *cl, int device)
{
        batches_lost(&cl->batches, device);
        for (struct enquiry *q = cl->list, *next; q; q = next) {
                next = q->next;
                if (q->phase != ENQUIRY_ON_DEVICE || q->device != device)
                        continue;
                if (!q->tried) { /* a long one needs no device for itself to be found out */
                        q->tried = true;
                        q->alone = !enquiry_is_long(q);
                        q->phase = ENQUIRY_WAITING;
                        continue;
                }
                struct err e;
                err_set(&e, ERR_UNAVAILABLE,
                        "the device's worker was lost%s while it classified this; try again",
                        q->tried ? " twice" : "");
                enquiry_answer(q, NULL, &e);
        }
}

static void give_up(struct enquiry *q)
{
        struct err e;
        err_set(&e, ERR_UNAVAILABLE,
                "all devices are quarantined: see GET /v1/devices, and restart cnnd when the driver is "
                "repaired");
        enquiry_abandon(q, &e);
}

static bool takes_time(const struct enquiry *q)
{
        return q->map.window || enquiry_is_long(q);
}

static void expire(struct enquiry *q)
{
        struct err e;
        err_set(&e, ERR_UNAVAILABLE, "no device could take it within %d s",
                (takes_time(q) ? CLASSIFY_MAP_TIMEOUT_MS : CLASSIFY_TIMEOUT_MS) / 1000);
        if (takes_time(q) && q->phase == ENQUIRY_ON_DEVICE)
                solo_drop(q);
        if (q->phase == ENQUIRY_ON_DEVICE)
                enquiry_answer(q, NULL, &e);
        else
                enquiry_abandon(q, &e);
}

/* What a device has begun is soon done, or it takes its time. */
static bool may_leave(const struct enquiry *q)
{
        return q->phase != ENQUIRY_ON_DEVICE || takes_time(q);
}

void classify_tick(struct classify *cl, int64_t now_ms)
{
        bool look = cl->list && now_ms >= cl->look_ms;
        if (look)
                cl->look_ms = now_ms + CLASSIFY_LOOK_MS;
        for (struct enquiry *q = cl->list, *next; q; q = next) {
                struct err e;
                next = q->next;
                if (q->gone)
                        continue;
                if (now_ms >= q->deadline_ms)
                        expire(q);
                else if (q->phase == ENQUIRY_WAITING && supervisor_all_quarantined(cl->supervisor))
                        give_up(q);
                else if (look && may_leave(q) && enquiry_caller_left(q))
                        enquiry_cancel(q);
                else if (q->phase == ENQUIRY_WAITING && (q->layer || q->map.window) && solo_send(q, &e))
                        enquiry_answer(q, NULL, &e);
        }
        crowd_send(cl, clock_now_us());
}

int64_t classify_timeout_us(const struct classify *cl, int64_t now_us)
{
        int64_t due = cl->due_us;
        for (const struct enquiry *q = cl->list; q; q = q->next)
                if (!q->gone) {
                        int64_t next = (may_leave(q) ? cl->look_ms : q->deadline_ms) * 1000;
                        due = next < due ? next : due;
                }
        if (due == INT64_MAX)
                return -1;
        return due > now_us ? due - now_us : 0;
}
