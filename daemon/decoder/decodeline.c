#include "daemon/decoder/decodeline.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "daemon/common/wire.h"
#include "daemon/decoder/decoderequest.h"
#include "daemon/decoder/decodeturns.h"

#include <stdlib.h>
#include <string.h>

/* Most often that a process is started ahead of the requests; twice as long after each that has said nothing.
 */
enum { SPARE_MS = 1000, SPARE_MS_MAX = 64000 };
/* Small images go to the decoder together: these before the turn ends, so that it works while the front reads
   on, the others in its end. */
enum { BATCH_EARLY = 4, BATCH_MAX = 64, BATCH_BYTES = 1 << 20 };
/* With the decoder at once. */
enum { MESSAGES_MAX = 8 };

/* The decoder works on the first message; the others are there so that it need not wait. Its death is that
   message's fault: of several images, the one is found by sending each by itself. The slow one gets a request
   at a time, of the user who has had least of it. */
struct decodeline {
        const char *state_dir; /* borrowed */
        struct children *kids;
        struct decoder_health *health;
        struct decodeline *slow; /* borrowed; for what turns out to be large; NULL: this is the slow one */
        struct decode_turns turns;
        struct child *child;             /* NULL: none, or it is on its way out */
        struct err refusal;              /* of the child: why it serves nobody; code 0 for none */
        struct decode_request_list list; /* owned; in order of arrival */
        int messages;                    /* with the child */
        int waiting;                     /* requests that are not */
        size_t sent_bytes;               /* of those that are */
        int64_t next_id, deadline_ms;
        int64_t since_ms; /* since when it works on the first message */
        int64_t start_ms; /* of a spare: from when on one is started though nobody waits for it */
        int64_t spare_ms; /* from one to the next */
};

struct decodeline *decodeline_create(
        const char *state_dir, struct children *kids, struct decoder_health *health, struct decodeline *slow)
{
        struct decodeline *l = calloc(1, sizeof *l);
        if (!l)
                return NULL;
        l->state_dir = state_dir;
        l->kids = kids;
        l->health = health;
        l->slow = slow;
        l->spare_ms = SPARE_MS;
        TAILQ_INIT(&l->list);
        return l;
}

void decodeline_destroy(struct decodeline *l)
{
        struct decode_request *r;
        if (!l)
                return;
        while ((r = TAILQ_FIRST(&l->list)) != NULL) {
                TAILQ_REMOVE(&l->list, r, place);
                decode_request_free(r);
        }
        decode_turns_finish(&l->turns);
        free(l);
}

/* --- what is with the decoder --- */

/* The first that it has in hand, NULL for none. */
static struct decode_request *first_sent(const struct decodeline *l)
{
        struct decode_request *r = TAILQ_FIRST(&l->list);
        while (r && !r->message)
                r = TAILQ_NEXT(r, place);
        return r;
}

static void note_sent(struct decodeline *l, struct decode_request *r, int64_t message)
{
        r->message = message;
        l->sent_bytes += r->raw_len;
        l->waiting--;
}

/* On the next message, if there is one. */
static void work_begins(struct decodeline *l)
{
        l->since_ms = clock_now_ms();
        l->deadline_ms = l->since_ms + DECODE_TIMEOUT_MS;
}

/* It waits again. */
static void take_back(struct decodeline *l, struct decode_request *r)
{
        r->message = 0;
        l->sent_bytes -= r->raw_len;
        l->waiting++;
}

static void take_all_back(struct decodeline *l)
{
        struct decode_request *r;
        TAILQ_FOREACH(r, &l->list, place)
        {
                if (r->message)
                        take_back(l, r);
        }
        l->messages = 0;
}

static void unlink_request(struct decodeline *l, struct decode_request *r)
{
        if (r->message)
                take_back(l, r);
        l->waiting--;
        TAILQ_REMOVE(&l->list, r, place);
}

static void end_request(
        struct decodeline *l, struct decode_request *r, struct chan_message *m, const struct err *e)
{
        unlink_request(l, r);
        r->done(r->ctx, m, e);
        decode_request_free(r);
}

/* It proved to be larger than what the quick one decodes. */
static void pass_on(struct decodeline *l, struct decode_request *r)
{
        unlink_request(l, r);
        r->id = ++l->slow->next_id;
        r->tried = false;
        TAILQ_INSERT_TAIL(&l->slow->list, r, place);
        l->slow->waiting++;
}

/* One body's part of the decoder's answer; `entry` is lent. */
static void end_image(struct decodeline *l, struct decode_request *r, cJSON *entry,
        const struct chan_message *m, size_t *at)
{
        struct chan_message part;
        struct err why;
        int rc = decode_request_part(r, entry, m, at, &part, &why);
        if (rc == ERR_TOO_LARGE && l->slow)
                pass_on(l, r);
        else
                end_request(l, r, &part, rc ? &why : NULL);
        part.head = NULL;
        chan_message_finish(&part);
}

static void end_images(struct decodeline *l, int64_t message, const struct chan_message *m)
{
        cJSON *entry = cJSON_GetObjectItemCaseSensitive(m->head, "images")->child;
        cJSON nothing = {0}; /* for the first at least, or it would be sent for ever */
        struct decode_request *r = first_sent(l);
        size_t at = 0;
        for (entry = entry ? entry : &nothing; entry && r && r->message == message; entry = entry->next) {
                end_image(l, r, entry, m, &at);
                r = first_sent(l);
        }
}

static int count_in(const struct decodeline *l, int64_t message)
{
        const struct decode_request *r;
        int count = 0;
        TAILQ_FOREACH(r, &l->list, place)
        count += r->message == message;
        return count;
}

/* What the slow one has worked for the user of `r`, which it has in hand. */
static void charge(struct decodeline *l, const struct decode_request *r)
{
        const int64_t now_ms = clock_now_ms();
        if (!l->slow)
                decode_turns_add(&l->turns, r->user, (double)(now_ms - l->since_ms) / 1000, now_ms);
}

/* The message is answered or lost. Those of it that are left over wait again; `tried`: each for itself. */
static void end_message(struct decodeline *l, int64_t message, bool tried)
{
        struct decode_request *r;
        TAILQ_FOREACH(r, &l->list, place)
        {
                if (r->message != message)
                        continue;
                r->tried = r->tried || tried;
                take_back(l, r);
        }
        l->messages--;
        work_begins(l);
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
        struct decode_request *r = first_sent(l);
        const cJSON *error = json_field(m->head, "error"), *op = json_field(m->head, "op");
        const int64_t message = r ? r->message : 0;
        struct err why;
        if (c == l->child && cJSON_IsString(op) && strcmp(op->valuestring, "failed") == 0)
                note_end(l, error);
        if (c != l->child || !r || wire_int(m->head, "request") != message)
                return 0;
        const bool several = count_in(l, message) > 1;
        charge(l, r);
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
        struct decode_request *r = first_sent(l);
        const bool once_more = count_in(l, r->message) > 1 || (again && !r->tried);
        charge(l, r);
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
        struct decode_request *r;
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

/* Of the user who has had least, the first. */
static struct decode_request *next_by_turns(const struct decodeline *l)
{
        const int64_t now_ms = clock_now_ms();
        struct decode_request *r, *best = NULL;
        double least = 0;
        TAILQ_FOREACH(r, &l->list, place)
        {
                const double had = decode_turns_of(&l->turns, r->user, now_ms);
                if (!best || had < least) {
                        best = r;
                        least = had;
                }
        }
        return best;
}

/* The next that may go, NULL for none. Behind those that were left over nothing goes before what is with the
   decoder is answered: its answers are in the order of the list. */
static struct decode_request *next_to_go(const struct decodeline *l)
{
        struct decode_request *r = TAILQ_FIRST(&l->list);
        if (!l->slow)
                return l->messages ? NULL : next_by_turns(l);
        if (!l->messages)
                return r;
        if (l->messages == MESSAGES_MAX || !l->waiting || !r->message)
                return NULL;
        while (r->message)
                r = TAILQ_NEXT(r, place);
        return l->sent_bytes + r->raw_len <= BATCH_BYTES ? r : NULL;
}

/* How many go in one message, of `first` and those behind it. */
static int count_batch(const struct decodeline *l, const struct decode_request *first)
{
        size_t bytes = first->raw_len;
        int count = 1;
        const struct decode_request *r = l->slow ? TAILQ_NEXT(first, place) : NULL;
        for (; r && count < BATCH_MAX && decode_request_joins(r, first); r = TAILQ_NEXT(r, place), count++)
                if ((bytes += r->raw_len) > BATCH_BYTES)
                        break;
        return count;
}

/* Hands `first` and who goes with it to the child. */
static int send_next(struct decodeline *l, struct decode_request *first, struct err *e)
{
        const int count = count_batch(l, first);
        int rc = decode_request_send(first, count, l->slow ? DECODE_QUICK_VALUES : 0, l->child, e);
        if (rc)
                return rc;
        struct decode_request *r = first;
        for (int i = 0; i < count; i++, r = TAILQ_NEXT(r, place))
                note_sent(l, r, first->id);
        if (!l->messages)
                work_begins(l);
        l->messages++;
        return 0;
}

/* Hands over what may go. */
static void pump(struct decodeline *l)
{
        struct decode_request *first;
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

/* Takes `r`, which may be NULL. */
static int push(struct decodeline *l, struct decode_request *r)
{
        if (!r)
                return ERR_NO_MEMORY;
        l->next_id++;
        TAILQ_INSERT_TAIL(&l->list, r, place);
        l->waiting++;
        return 0;
}

int decodeline_command(struct decodeline *l, cJSON *head, const void *raw, size_t raw_len,
        const struct decode_caller *caller, struct err *e)
{
        return push(l, decode_request_command(l->next_id + 1, head, raw, raw_len, caller, e));
}

int decodeline_image(struct decodeline *l, const void *body, size_t len, const char *media_type,
        const struct decode_target *target, const struct decode_caller *caller, struct err *e)
{
        struct decode_request *r =
                decode_request_image(l->next_id + 1, body, len, media_type, target, caller, e);
        int rc = push(l, r);
        if (rc == 0 && l->child && l->waiting >= BATCH_EARLY && (r = next_to_go(l)) != NULL) {
                struct err later; /* it goes, or fails, at the next tick */
                (void)send_next(l, r, &later);
        }
        return rc;
}

bool decodeline_drop(struct decodeline *l, const void *ctx)
{
        struct decode_request *r;
        TAILQ_FOREACH(r, &l->list, place)
        {
                if (r->message || r->ctx != ctx)
                        continue;
                unlink_request(l, r);
                decode_request_free(r);
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
        if (l->slow && !l->child && now_ms >= l->start_ms && start(l, &e))
                log_line(LOG_WARN, "no decoder is ready for the next request: %s", e.message);
}

int64_t decodeline_due_ms(const struct decodeline *l, int64_t now_ms)
{
        if (next_to_go(l))
                return now_ms;
        if (l->messages)
                return l->deadline_ms;
        return l->child || !l->slow ? INT64_MAX : l->start_ms;
}
