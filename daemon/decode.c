#include "daemon/decode.h"

#include "base/json.h"
#include "base/log.h"
#include "base/str.h"
#include "daemon/clock.h"
#include "daemon/wire.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Most often that a process is started ahead of the requests. */
enum { SPARE_MS = 1000 };
/* Small images go to the decoder together. */
enum { BATCH_MAX = 64, BATCH_BYTES = 1 << 20 };

struct request {
        struct request *next;
        int64_t id;
        cJSON *head; /* owned; of an image, its entry in the message's list */
        void *raw;   /* owned */
        size_t raw_len;
        bool tried; /* a decoder has already ended with it in hand: it goes by itself */
        bool image;
        struct decode_target to; /* of an image */
        struct recipe recipe;    /* to.recipe */
        decode_done done;
        void *ctx;
};

/* The decoder works on the first request, or on the first few images. Its death is their fault: of several
   it is found by sending each by itself. */
struct decode {
        const char *state_dir; /* borrowed */
        struct children *kids;
        struct child *child; /* NULL: none, or it is on its way out */
        struct request *first, *last;
        int sent; /* as many of the first are with the child */
        int64_t next_id, deadline_ms;
        int64_t start_ms; /* from when on one is started though nobody waits for it */
};

struct decode *decode_create(const char *state_dir, struct children *kids)
{
        struct decode *dc = calloc(1, sizeof *dc);
        if (!dc)
                return NULL;
        dc->state_dir = state_dir;
        dc->kids = kids;
        return dc;
}

static void request_free(struct request *r)
{
        cJSON_Delete(r->head);
        free(r->raw);
        free(r);
}

void decode_destroy(struct decode *dc)
{
        if (!dc)
                return;
        while (dc->first) {
                struct request *r = dc->first;
                dc->first = r->next;
                request_free(r);
        }
        free(dc);
}

static void end_first(struct decode *dc, struct chan_message *m, const struct err *e)
{
        struct request *r = dc->first;
        dc->first = r->next;
        if (!dc->first)
                dc->last = NULL;
        dc->sent -= dc->sent > 0;
        r->done(r->ctx, m, e);
        request_free(r);
}

/* One image's part of the decoder's answer: of *raw, from *at on, its floats are copied. */
static void end_image(struct decode *dc, cJSON *entry, const struct chan_message *m, size_t *at)
{
        const struct request *r = dc->first;
        const cJSON *n = json_field(entry, "n"), *error = json_field(entry, "error");
        const size_t image = (size_t)r->to.c * (size_t)r->to.h * (size_t)r->to.w * sizeof(float);
        struct chan_message part = {.head = entry};
        struct err why;
        int rc = 0;
        if (error) {
                rc = wire_error_read(error, &why);
        } else if (!cJSON_IsNumber(n) || n->valueint < 1 ||
                   (m->raw_len - *at) / image < (size_t)n->valueint) {
                rc = err_set(&why, ERR_INTERNAL, "the decoder's answer cannot be read");
        } else {
                part.raw_len = (size_t)n->valueint * image;
                part.raw = malloc(part.raw_len);
                if (part.raw)
                        memcpy(part.raw, (const char *)m->raw + *at, part.raw_len);
                else
                        rc = err_set(&why, ERR_NO_MEMORY, "no memory for an image");
                *at += part.raw_len;
        }
        end_first(dc, &part, rc ? &why : NULL);
        chan_message_finish(&part);
}

/* Those that the decoder left over are with it no more. */
static void end_images(struct decode *dc, struct chan_message *m)
{
        cJSON *list = cJSON_GetObjectItemCaseSensitive(m->head, "images"), *entry;
        size_t at = 0;
        if (cJSON_GetArraySize(list) == 0) /* or the first would be sent for ever */
                json_push(list, cJSON_CreateObject());
        while (dc->sent && (entry = cJSON_DetachItemFromArray(list, 0)) != NULL)
                end_image(dc, entry, m, &at);
        dc->sent = 0;
}

static int child_message(void *ctx, struct child *c, struct chan_message *m)
{
        struct decode *dc = ctx;
        const cJSON *error = json_field(m->head, "error");
        struct err why;
        if (c != dc->child || !dc->sent || wire_int(m->head, "request") != dc->first->id)
                return 0;
        if (!error && cJSON_IsArray(json_field(m->head, "images"))) {
                end_images(dc, m);
                return 0;
        }
        if (error)
                (void)wire_error_read(error, &why);
        end_first(dc, m, error ? &why : NULL);
        return 0;
}

/* The child is gone or killed with `sent` requests in hand. */
static void lost(struct decode *dc, const char *why, bool again)
{
        struct chan_message none = {0};
        struct err e;
        int left = dc->sent;
        again = again && !dc->first->tried;
        dc->sent = 0;
        if (left > 1 || again) {
                for (struct request *r = dc->first; left > 0; r = r->next, left--)
                        r->tried = true;
                return;
        }
        log_line(LOG_WARN, "the decoder was %s at a request of %zu bytes", why, dc->first->raw_len);
        err_set(&e, ERR_INVALID, "the decoder could not read it");
        end_first(dc, &none, &e);
}

static void child_gone(void *ctx, struct child *c, int status, const char *why)
{
        struct decode *dc = ctx;
        (void)status;
        if (c != dc->child)
                return;
        dc->child = NULL;
        /* Once more: the child may have been on its way out before it saw the request. */
        if (dc->sent)
                lost(dc, why, true);
}

static int start(struct decode *dc, struct err *e)
{
        const char *const args[] = {"--role", "decoder", "--state", dc->state_dir, NULL};
        const struct child_hooks hooks = {.ctx = dc, .message = child_message, .gone = child_gone};
        dc->start_ms = clock_now_ms() + SPARE_MS;
        return child_start(dc->kids, args, &hooks, &dc->child, e);
}

static bool same_target(const struct decode_target *a, const struct decode_target *b)
{
        return a->c == b->c && a->h == b->h && a->w == b->w && recipe_same(a->recipe, b->recipe);
}

static void add_target(cJSON *head, const struct decode_target *to)
{
        cJSON_AddNumberToObject(head, "c", to->c);
        cJSON_AddNumberToObject(head, "h", to->h);
        cJSON_AddNumberToObject(head, "w", to->w);
        json_add(head, "import", recipe_json(to->recipe));
}

/* How many of the first requests go in one message. */
static int count_batch(const struct decode *dc)
{
        const struct request *first = dc->first;
        size_t bytes = 0;
        int count = 0;
        for (const struct request *r = first; r && count < BATCH_MAX; r = r->next) {
                bytes += r->raw_len;
                if (count &&
                        (!r->image || r->tried || bytes > BATCH_BYTES || !same_target(&r->to, &first->to)))
                        break;
                count++;
                if (!first->image || first->tried)
                        break;
        }
        return count;
}

static int send_images(struct decode *dc, int count, struct err *e)
{
        const struct request *r = dc->first;
        struct str raw = {0};
        cJSON *head = cJSON_CreateObject();
        cJSON_AddStringToObject(head, "op", "images");
        cJSON_AddNumberToObject(head, "request", (double)r->id);
        add_target(head, &r->to);
        cJSON *list = cJSON_AddArrayToObject(head, "bodies");
        for (int i = 0; list && i < count; i++, r = r->next) {
                cJSON_AddItemReferenceToArray(list, r->head);
                if (count > 1)
                        str_add_bytes(&raw, r->raw, r->raw_len);
        }
        int rc = !list || raw.failed ? err_set(e, ERR_NO_MEMORY, "no memory for a request") : 0;
        if (rc == 0 && count > 1)
                rc = child_send(dc->child, head, raw.data, raw.len, e);
        else if (rc == 0)
                rc = child_send(dc->child, head, dc->first->raw, dc->first->raw_len, e);
        cJSON_Delete(head);
        str_free(&raw);
        return rc;
}

/* Hands the first requests to the child. */
static void pump(struct decode *dc)
{
        while (dc->first && !dc->sent) {
                struct err e;
                int count = count_batch(dc);
                int rc = dc->child ? 0 : start(dc, &e);
                if (rc == 0 && dc->first->image)
                        rc = send_images(dc, count, &e);
                else if (rc == 0)
                        rc = child_send(dc->child, dc->first->head, dc->first->raw, dc->first->raw_len, &e);
                if (rc) {
                        struct chan_message none = {0};
                        end_first(dc, &none, &e);
                        continue;
                }
                dc->sent = count;
                dc->deadline_ms = clock_now_ms() + DECODE_TIMEOUT_MS;
        }
}

/* Takes `head`. NULL with *e set on failure. */
static struct request *push(struct decode *dc, cJSON *head, const void *raw, size_t raw_len, decode_done done,
        void *ctx, struct err *e)
{
        struct request *r = calloc(1, sizeof *r);
        if (r && raw_len)
                r->raw = malloc(raw_len);
        if (!r || (raw_len && !r->raw) || json_fell_short()) {
                if (r)
                        free(r->raw);
                free(r);
                cJSON_Delete(head);
                err_set(e, ERR_NO_MEMORY, "no memory for a body of %zu bytes", raw_len);
                return NULL;
        }
        r->id = ++dc->next_id;
        r->head = head;
        if (raw_len)
                memcpy(r->raw, raw, raw_len);
        r->raw_len = raw_len;
        r->done = done;
        r->ctx = ctx;
        if (dc->last)
                dc->last->next = r;
        else
                dc->first = r;
        dc->last = r;
        return r;
}

static int push_command(struct decode *dc, cJSON *head, const void *raw, size_t raw_len, decode_done done,
        void *ctx, struct err *e)
{
        cJSON_AddNumberToObject(head, "request", (double)(dc->next_id + 1));
        return push(dc, head, raw, raw_len, done, ctx, e) ? 0 : ERR_NO_MEMORY;
}

int decode_image(struct decode *dc, const void *body, size_t len, const char *media_type,
        const struct decode_target *target, decode_done done, void *ctx, struct err *e)
{
        cJSON *entry = cJSON_CreateArray();
        if (entry) {
                json_push(entry, cJSON_CreateNumber((double)len));
                if (media_type)
                        json_push(entry, cJSON_CreateString(media_type));
        }
        struct request *r = push(dc, entry, body, len, done, ctx, e);
        if (!r)
                return ERR_NO_MEMORY;
        r->image = true;
        r->recipe = *target->recipe;
        r->to = *target;
        r->to.recipe = &r->recipe;
        return 0;
}

int decode_field(struct decode *dc, const void *body, size_t len, const char *media_type,
        const struct decode_target *target, decode_done done, void *ctx, struct err *e)
{
        cJSON *head = cJSON_CreateObject();
        if (head) {
                cJSON_AddStringToObject(head, "op", "field");
                if (media_type)
                        cJSON_AddStringToObject(head, "media_type", media_type);
                add_target(head, target);
        }
        return push_command(dc, head, body, len, done, ctx, e);
}

int decode_model(struct decode *dc, const char *path, const cJSON *overrides, decode_done done, void *ctx,
        struct err *e)
{
        cJSON *head = cJSON_CreateObject();
        if (head) {
                cJSON_AddStringToObject(head, "op", "model");
                cJSON_AddStringToObject(head, "path", path);
                json_add(
                        head, "overrides", overrides ? cJSON_Duplicate(overrides, true) : cJSON_CreateNull());
        }
        return push_command(dc, head, NULL, 0, done, ctx, e);
}

int decode_sheet(struct decode *dc, const struct sheet *sheet, decode_done done, void *ctx, struct err *e)
{
        size_t image = (size_t)sheet->c * (size_t)sheet->h * (size_t)sheet->w;
        cJSON *head = cJSON_CreateObject();
        if (head) {
                cJSON_AddStringToObject(head, "op", "grid");
                cJSON_AddNumberToObject(head, "count", sheet->count);
                cJSON_AddNumberToObject(head, "columns", sheet->columns);
                cJSON_AddNumberToObject(head, "c", sheet->c);
                cJSON_AddNumberToObject(head, "h", sheet->h);
                cJSON_AddNumberToObject(head, "w", sheet->w);
        }
        return push_command(
                dc, head, sheet->maps, (size_t)sheet->count * image * sizeof *sheet->maps, done, ctx, e);
}

bool decode_drop(struct decode *dc, const void *ctx)
{
        struct request *before = NULL;
        int sent = dc->sent;
        for (struct request *r = dc->first; r; before = r, r = r->next) {
                if (sent-- > 0 || r->ctx != ctx)
                        continue;
                if (before)
                        before->next = r->next;
                else
                        dc->first = r->next;
                if (dc->last == r)
                        dc->last = before;
                request_free(r);
                return true;
        }
        return false;
}

void decode_tick(struct decode *dc, int64_t now_ms)
{
        if (dc->sent && now_ms >= dc->deadline_ms && dc->child) {
                struct child *c = dc->child;
                dc->child = NULL;
                child_kill(c);
                lost(dc, "killed: no answer in time", false);
        }
        pump(dc);
        struct err e;
        if (!dc->child && now_ms >= dc->start_ms && start(dc, &e))
                log_line(LOG_WARN, "no decoder is ready for the next request: %s", e.message);
}

int decode_timeout_ms(const struct decode *dc, int64_t now_ms)
{
        int64_t due = dc->sent ? dc->deadline_ms : dc->first ? now_ms : dc->child ? INT64_MAX : dc->start_ms;
        if (due == INT64_MAX)
                return -1;
        return due > now_ms ? (int)(due - now_ms) : 0;
}
