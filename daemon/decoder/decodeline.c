#include "daemon/decoder/decodeline.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/str.h"
#include "daemon/decoder/album.h"
#include "daemon/decoder/decoder_role.h"
#include "daemon/decoder/imagefacts.h"
#include "daemon/common/wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

/* Most often that a process is started ahead of the requests; twice as long after each that has said nothing.
 */
enum { SPARE_MS = 1000, SPARE_MS_MAX = 64000 };
/* Small images go to the decoder together: these before the turn ends, so that it works while the front reads
   on, the others in its end. */
enum { BATCH_EARLY = 4, BATCH_MAX = 64, BATCH_BYTES = 1 << 20 };
/* With the decoder at once. */
enum { MESSAGES_MAX = 8 };

struct request {
        TAILQ_ENTRY(request) place;
        int64_t id;
        int64_t message; /* the id of the first request of the message it is in; 0: it waits */
        cJSON *head;     /* owned; of a command */
        void *raw;       /* owned; of an image, with its decoder_body */
        size_t raw_len;
        bool tried; /* a decoder has already ended with it in hand: it goes by itself */
        bool image;
        struct decode_target to; /* of an image */
        struct recipe recipe;    /* to.recipe */
        decode_done done;
        void *ctx;
};
TAILQ_HEAD(request_list, request);

/* The decoder works on the first message; the others are there so that it need not wait. Its death is that
   message's fault: of several images, the one is found by sending each by itself. */
struct decodeline {
        const char *state_dir; /* borrowed */
        struct children *kids;
        struct decoder_health *health;
        bool spare;
        struct child *child;      /* NULL: none, or it is on its way out */
        struct err refusal;       /* of the child: why it serves nobody; code 0 for none */
        struct request_list list; /* owned; in order of arrival */
        int messages;             /* with the child */
        int waiting;              /* requests that are not */
        size_t sent_bytes;        /* of those that are */
        int64_t next_id, deadline_ms;
        int64_t start_ms; /* of a spare: from when on one is started though nobody waits for it */
        int64_t spare_ms; /* from one to the next */
};

struct decodeline *decodeline_create(
        const char *state_dir, struct children *kids, struct decoder_health *health, bool spare)
{
        struct decodeline *l = calloc(1, sizeof *l);
        if (!l)
                return NULL;
        l->state_dir = state_dir;
        l->kids = kids;
        l->health = health;
        l->spare = spare;
        l->spare_ms = SPARE_MS;
        TAILQ_INIT(&l->list);
        return l;
}

static void request_free(struct request *r)
{
        cJSON_Delete(r->head);
        free(r->raw);
        free(r);
}

void decodeline_destroy(struct decodeline *l)
{
        struct request *r;
        if (!l)
                return;
        while ((r = TAILQ_FIRST(&l->list)) != NULL) {
                TAILQ_REMOVE(&l->list, r, place);
                request_free(r);
        }
        free(l);
}

/* --- what is with the decoder --- */

/* The first that it has in hand, NULL for none. */
static struct request *first_sent(const struct decodeline *l)
{
        struct request *r = TAILQ_FIRST(&l->list);
        while (r && !r->message)
                r = TAILQ_NEXT(r, place);
        return r;
}

static void note_sent(struct decodeline *l, struct request *r, int64_t message)
{
        r->message = message;
        l->sent_bytes += r->raw_len;
        l->waiting--;
}

/* It waits again. */
static void take_back(struct decodeline *l, struct request *r)
{
        r->message = 0;
        l->sent_bytes -= r->raw_len;
        l->waiting++;
}

static void take_all_back(struct decodeline *l)
{
        struct request *r;
        TAILQ_FOREACH(r, &l->list, place)
        {
                if (r->message)
                        take_back(l, r);
        }
        l->messages = 0;
}

static void unlink_request(struct decodeline *l, struct request *r)
{
        if (r->message)
                take_back(l, r);
        l->waiting--;
        TAILQ_REMOVE(&l->list, r, place);
}

static void end_request(struct decodeline *l, struct request *r, struct chan_message *m, const struct err *e)
{
        unlink_request(l, r);
        r->done(r->ctx, m, e);
        request_free(r);
}

/* Bytes of what a body became: its images and their facts. ERR_INTERNAL where `left` has not as many. */
static int measure(const struct request *r, const cJSON *entry, size_t left, size_t *ret, struct err *e)
{
        const size_t image = (size_t)r->to.c * (size_t)r->to.h * (size_t)r->to.w * sizeof(float);
        const cJSON *files = json_field(entry, "files");
        int images = cJSON_IsNumber(entry) ? entry->valueint : 0, facts = 1;
        int rc = files ? album_count(files, &images, &facts, e) : 0;
        const size_t tail = (size_t)facts * sizeof(struct image_facts);
        if (rc)
                return rc;
        if (images < 1 || left < tail || (left - tail) / image < (size_t)images)
                return err_set(e, ERR_INTERNAL, "the decoder's answer cannot be read");
        *ret = (size_t)images * image + tail;
        return 0;
}

/* One body's part of the decoder's answer: of m->raw, from *at on, its floats and its facts are copied;
   `entry` is lent. */
static void end_image(
        struct decodeline *l, struct request *r, cJSON *entry, const struct chan_message *m, size_t *at)
{
        const cJSON *error = json_field(entry, "error");
        struct chan_message part = {.head = entry};
        struct err why;
        size_t bytes = 0;
        int rc = error ? wire_error_read(error, &why) : measure(r, entry, m->raw_len - *at, &bytes, &why);
        if (rc == 0 && !(part.raw = malloc(bytes)))
                rc = err_set(&why, ERR_NO_MEMORY, "no memory for an image");
        if (rc == 0) {
                memcpy(part.raw, (const char *)m->raw + *at, bytes);
                part.raw_len = bytes;
        }
        *at += bytes;
        end_request(l, r, &part, rc ? &why : NULL);
        part.head = NULL;
        chan_message_finish(&part);
}

static void end_images(struct decodeline *l, int64_t message, const struct chan_message *m)
{
        cJSON *entry = cJSON_GetObjectItemCaseSensitive(m->head, "images")->child;
        cJSON nothing = {0}; /* for the first at least, or it would be sent for ever */
        struct request *r = first_sent(l);
        size_t at = 0;
        for (entry = entry ? entry : &nothing; entry && r && r->message == message; entry = entry->next) {
                end_image(l, r, entry, m, &at);
                r = first_sent(l);
        }
}

static int count_in(const struct decodeline *l, int64_t message)
{
        const struct request *r;
        int count = 0;
        TAILQ_FOREACH(r, &l->list, place)
        count += r->message == message;
        return count;
}

/* The message is answered or lost. Those of it that are left over wait again; `tried`: each for itself. */
static void end_message(struct decodeline *l, int64_t message, bool tried)
{
        struct request *r;
        TAILQ_FOREACH(r, &l->list, place)
        {
                if (r->message != message)
                        continue;
                r->tried = r->tried || tried;
                take_back(l, r);
        }
        l->messages--;
        l->deadline_ms = clock_now_ms() + DECODE_TIMEOUT_MS;
}

/* The child ends, and says why: without a sandbox it is not what was sent that is at fault. */
static void note_end(struct decodeline *l, const cJSON *error)
{
        struct err why;
        (void)wire_error_read(error, &why);
        if (why.code != ERR_UNAVAILABLE) {
                log_line(LOG_WARN, "the decoder ends: %s", why.message);
                return;
        }
        l->refusal = why;
        decoder_health_refused(l->health, &why);
}

static int child_message(void *ctx, struct child *c, struct chan_message *m)
{
        struct decodeline *l = ctx;
        struct request *r = first_sent(l);
        const cJSON *error = json_field(m->head, "error"), *op = json_field(m->head, "op");
        const int64_t message = r ? r->message : 0;
        struct err why;
        if (c == l->child && cJSON_IsString(op) && strcmp(op->valuestring, "failed") == 0)
                note_end(l, error);
        if (c != l->child || !r || wire_int(m->head, "request") != message)
                return 0;
        const bool several = count_in(l, message) > 1;
        l->spare_ms = SPARE_MS;
        decoder_health_served(l->health);
        if (error)
                (void)wire_error_read(error, &why);
        if (!error && cJSON_IsArray(json_field(m->head, "images")) && r->image)
                end_images(l, message, m);
        else if (!error || !several)
                end_request(l, r, m, error ? &why : NULL);
        end_message(l, message, error && several);
        return 0;
}

/* The child is gone or killed with requests in hand; `outside`: not for what it was given. */
static void lost(struct decodeline *l, const char *why, bool again, bool outside)
{
        struct chan_message none = {0};
        struct err e;
        struct request *r = first_sent(l);
        const bool once_more = count_in(l, r->message) > 1 || (again && !r->tried);
        end_message(l, r->message, true);
        take_all_back(l);
        if (once_more)
                return;
        log_line(LOG_WARN, "the decoder was %s at a request of %zu bytes", why, r->raw_len);
        if (outside)
                err_set(&e, ERR_UNAVAILABLE, "the decoder was %s, and not by what was sent: try again", why);
        else
                err_set(&e, ERR_INVALID, "the decoder could not read it");
        end_request(l, r, &none, &e);
}

/* All that the child was sent. */
static void refuse_sent(struct decodeline *l, const struct err *why)
{
        struct chan_message none = {0};
        struct request *r;
        while ((r = first_sent(l)) != NULL)
                end_request(l, r, &none, why);
        l->messages = 0;
}

static void child_gone(void *ctx, struct child *c, int status, const char *why)
{
        struct decodeline *l = ctx;
        const struct err refusal = l->refusal;
        if (c != l->child)
                return;
        l->child = NULL;
        if (refusal.code)
                refuse_sent(l, &refusal);
        else if (l->messages) /* once more: it may have been on its way out before it saw the request */
                lost(l, why, true, child_was_killed(status));
}

static int start(struct decodeline *l, struct err *e)
{
        const char *const args[] = {"--role", "decoder", "--state", l->state_dir, NULL};
        const struct child_hooks hooks = {.ctx = l, .message = child_message, .gone = child_gone};
        l->refusal.code = 0;
        l->start_ms = clock_now_ms() + l->spare_ms;
        l->spare_ms = l->spare_ms < SPARE_MS_MAX ? l->spare_ms * 2 : SPARE_MS_MAX;
        return child_start(l->kids, args, &hooks, &l->child, e);
}

static bool same_target(const struct decode_target *a, const struct decode_target *b)
{
        return a->c == b->c && a->h == b->h && a->w == b->w && recipe_same(a->recipe, b->recipe);
}

void decodeline_add_target(cJSON *head, const struct decode_target *to)
{
        cJSON_AddNumberToObject(head, "c", to->c);
        cJSON_AddNumberToObject(head, "h", to->h);
        cJSON_AddNumberToObject(head, "w", to->w);
        json_add(head, "import", recipe_json(to->recipe));
}

/* The next that may go, NULL for none. Behind those that were left over nothing goes before what is with the
   decoder is answered: its answers are in the order of the list. */
static struct request *next_to_go(const struct decodeline *l)
{
        struct request *r = TAILQ_FIRST(&l->list);
        if (!l->messages)
                return r;
        if (l->messages == MESSAGES_MAX || !l->waiting || !r->message)
                return NULL;
        while (r->message)
                r = TAILQ_NEXT(r, place);
        return l->sent_bytes + r->raw_len <= BATCH_BYTES ? r : NULL;
}

/* How many go in one message, of `first` and those behind it. */
static int count_batch(const struct request *first)
{
        size_t bytes = 0;
        int count = 0;
        for (const struct request *r = first; r && count < BATCH_MAX; r = TAILQ_NEXT(r, place)) {
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

static int send_images(struct decodeline *l, const struct request *first, int count, struct err *e)
{
        struct str raw = {0};
        cJSON *head = cJSON_CreateObject();
        cJSON_AddStringToObject(head, "op", "images");
        cJSON_AddNumberToObject(head, "request", (double)first->id);
        decodeline_add_target(head, &first->to);
        const struct request *r = first;
        for (int i = 0; count > 1 && i < count; i++, r = TAILQ_NEXT(r, place))
                str_add_bytes(&raw, r->raw, r->raw_len);
        int rc = !head || raw.failed ? err_set(e, ERR_NO_MEMORY, "no memory for a request") : 0;
        if (rc == 0 && count > 1)
                rc = child_send(l->child, head, raw.data, raw.len, e);
        else if (rc == 0)
                rc = child_send(l->child, head, first->raw, first->raw_len, e);
        cJSON_Delete(head);
        str_free(&raw);
        return rc;
}

/* Hands `first` and who goes with it to the child. */
static int send_next(struct decodeline *l, struct request *first, struct err *e)
{
        const int count = count_batch(first);
        int rc = first->image ? send_images(l, first, count, e)
                              : child_send(l->child, first->head, first->raw, first->raw_len, e);
        if (rc)
                return rc;
        struct request *r = first;
        for (int i = 0; i < count; i++, r = TAILQ_NEXT(r, place))
                note_sent(l, r, first->id);
        if (!l->messages)
                l->deadline_ms = clock_now_ms() + DECODE_TIMEOUT_MS;
        l->messages++;
        return 0;
}

/* Hands over what may go. */
static void pump(struct decodeline *l)
{
        struct request *first;
        while ((first = next_to_go(l)) != NULL) {
                struct err e;
                int rc = l->child ? 0 : start(l, &e);
                if (rc == 0)
                        rc = send_next(l, first, &e);
                if (rc) {
                        struct chan_message none = {0};
                        end_request(l, first, &none, &e);
                }
        }
}

/* Takes `head`; `raw` is two parts one behind the other, copied. NULL with *e set on failure. */
static struct request *push(struct decodeline *l, cJSON *head, const void *raw[2], const size_t len[2],
        decode_done done, void *ctx, struct err *e)
{
        struct request *r = calloc(1, sizeof *r);
        const size_t raw_len = len[0] + len[1];
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
        r->id = ++l->next_id;
        r->head = head;
        if (len[0])
                memcpy(r->raw, raw[0], len[0]);
        if (len[1])
                memcpy((char *)r->raw + len[0], raw[1], len[1]);
        r->raw_len = raw_len;
        r->done = done;
        r->ctx = ctx;
        TAILQ_INSERT_TAIL(&l->list, r, place);
        l->waiting++;
        return r;
}

int decodeline_command(struct decodeline *l, cJSON *head, const void *raw, size_t raw_len, decode_done done,
        void *ctx, struct err *e)
{
        cJSON_AddNumberToObject(head, "request", (double)(l->next_id + 1));
        const void *parts[2] = {NULL, raw};
        return push(l, head, parts, (size_t[2]){0, raw_len}, done, ctx, e) ? 0 : ERR_NO_MEMORY;
}

int decodeline_image(struct decodeline *l, const void *body, size_t len, const char *media_type,
        const struct decode_target *target, decode_done done, void *ctx, struct err *e)
{
        struct decoder_body b = {.len = len};
        snprintf(b.media_type, sizeof b.media_type, "%s", media_type ? media_type : "");
        const void *parts[2] = {&b, body};
        struct request *r = push(l, NULL, parts, (size_t[2]){sizeof b, len}, done, ctx, e);
        if (!r)
                return ERR_NO_MEMORY;
        r->image = true;
        r->recipe = *target->recipe;
        r->to = *target;
        r->to.recipe = &r->recipe;
        if (l->child && l->waiting >= BATCH_EARLY && (r = next_to_go(l)) != NULL) {
                struct err later; /* it goes, or fails, at the next tick */
                (void)send_next(l, r, &later);
        }
        return 0;
}

bool decodeline_drop(struct decodeline *l, const void *ctx)
{
        struct request *r;
        TAILQ_FOREACH(r, &l->list, place)
        {
                if (r->message || r->ctx != ctx)
                        continue;
                unlink_request(l, r);
                request_free(r);
                return true;
        }
        return false;
}

void decodeline_tick(struct decodeline *l, int64_t now_ms)
{
        if (l->messages && now_ms >= l->deadline_ms && l->child) {
                struct child *c = l->child;
                l->child = NULL;
                child_kill(c);
                lost(l, "killed: no answer in time", false, false);
        }
        pump(l);
        struct err e;
        if (l->spare && !l->child && now_ms >= l->start_ms && start(l, &e))
                log_line(LOG_WARN, "no decoder is ready for the next request: %s", e.message);
}

int64_t decodeline_due_ms(const struct decodeline *l, int64_t now_ms)
{
        if (next_to_go(l))
                return now_ms;
        if (l->messages)
                return l->deadline_ms;
        return l->child || !l->spare ? INT64_MAX : l->start_ms;
}
