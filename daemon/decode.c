#include "daemon/decode.h"

#include "base/json.h"
#include "base/log.h"
#include "daemon/clock.h"
#include "daemon/wire.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct request {
        struct request *next;
        int64_t id;
        cJSON *head; /* owned */
        void *raw;   /* owned */
        size_t raw_len;
        bool tried; /* a decoder has already ended with it in hand */
        decode_done done;
        void *ctx;
};

/* The decoder works on one request at a time: the first. Its death is then that request's fault. */
struct decode {
        const char *state_dir; /* borrowed */
        struct children *kids;
        struct child *child; /* NULL: none, or it is on its way out */
        struct request *first, *last;
        bool sent; /* the first is with the child */
        int64_t next_id, deadline_ms;
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
        dc->sent = false;
        r->done(r->ctx, m, e);
        request_free(r);
}

static int child_message(void *ctx, struct child *c, struct chan_message *m)
{
        struct decode *dc = ctx;
        const cJSON *error = json_field(m->head, "error");
        struct err why;
        if (c != dc->child || !dc->sent || wire_int(m->head, "request") != dc->first->id)
                return 0;
        if (error)
                (void)wire_error_read(error, &why);
        end_first(dc, m, error ? &why : NULL);
        return 0;
}

static void refuse_first(struct decode *dc, const char *why)
{
        struct chan_message none = {0};
        struct err e;
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
        bool again = dc->sent && !dc->first->tried;
        if (again) {
                dc->first->tried = true;
                dc->sent = false;
        } else if (dc->sent) {
                refuse_first(dc, why);
        }
}

static int start(struct decode *dc, struct err *e)
{
        const char *const args[] = {"--role", "decoder", "--state", dc->state_dir, NULL};
        const struct child_hooks hooks = {.ctx = dc, .message = child_message, .gone = child_gone};
        return child_start(dc->kids, args, &hooks, &dc->child, e);
}

/* Hands the first request to the child. */
static void pump(struct decode *dc)
{
        while (dc->first && !dc->sent) {
                struct err e;
                int rc = dc->child ? 0 : start(dc, &e);
                if (rc == 0)
                        rc = child_send(dc->child, dc->first->head, dc->first->raw, dc->first->raw_len, &e);
                if (rc) {
                        struct chan_message none = {0};
                        end_first(dc, &none, &e);
                        continue;
                }
                dc->sent = true;
                dc->deadline_ms = clock_now_ms() + DECODE_TIMEOUT_MS;
        }
}

/* Takes `head`. */
static int push(struct decode *dc, cJSON *head, const void *raw, size_t raw_len, decode_done done, void *ctx,
        struct err *e)
{
        struct request *r = calloc(1, sizeof *r);
        if (r && raw_len)
                r->raw = malloc(raw_len);
        cJSON_AddNumberToObject(head, "request", (double)(dc->next_id + 1));
        if (!r || (raw_len && !r->raw) || json_fell_short()) {
                if (r)
                        free(r->raw);
                free(r);
                cJSON_Delete(head);
                return err_set(e, ERR_NO_MEMORY, "no memory for a body of %zu bytes", raw_len);
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
        return 0;
}

static int push_body(struct decode *dc, const char *op, const void *body, size_t len, const char *media_type,
        const struct decode_target *target, decode_done done, void *ctx, struct err *e)
{
        cJSON *head = cJSON_CreateObject();
        if (head) {
                cJSON_AddStringToObject(head, "op", op);
                if (media_type)
                        cJSON_AddStringToObject(head, "media_type", media_type);
                else
                        cJSON_AddNullToObject(head, "media_type");
                cJSON_AddNumberToObject(head, "c", target->c);
                cJSON_AddNumberToObject(head, "h", target->h);
                cJSON_AddNumberToObject(head, "w", target->w);
                json_add(head, "import", recipe_json(target->recipe));
        }
        return push(dc, head, body, len, done, ctx, e);
}

int decode_image(struct decode *dc, const void *body, size_t len, const char *media_type,
        const struct decode_target *target, decode_done done, void *ctx, struct err *e)
{
        return push_body(dc, "image", body, len, media_type, target, done, ctx, e);
}

int decode_field(struct decode *dc, const void *body, size_t len, const char *media_type,
        const struct decode_target *target, decode_done done, void *ctx, struct err *e)
{
        return push_body(dc, "field", body, len, media_type, target, done, ctx, e);
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
        return push(dc, head, NULL, 0, done, ctx, e);
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
        return push(dc, head, sheet->maps, (size_t)sheet->count * image * sizeof *sheet->maps, done, ctx, e);
}

bool decode_drop(struct decode *dc, const void *ctx)
{
        struct request *before = NULL;
        for (struct request *r = dc->first; r; before = r, r = r->next) {
                if (r->ctx != ctx || (r == dc->first && dc->sent))
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
                refuse_first(dc, "killed: no answer in time");
        }
        pump(dc);
}

int decode_timeout_ms(const struct decode *dc, int64_t now_ms)
{
        if (!dc->first)
                return -1;
        if (!dc->sent)
                return 0;
        return dc->deadline_ms > now_ms ? (int)(dc->deadline_ms - now_ms) : 0;
}
