#include "daemon/api/feed.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/str.h"

#include <stdlib.h>
#include <string.h>

/* READERS_PER_MS: so many are woken a millisecond on average, so that thousands of them leave time for
 * others. */
enum { BATCH_EVENTS = 64, LOOK_MS = 1000, BUCKETS = 256, READERS_PER_MS = 50 };

/* A text of events that streams share while they read it. */
struct batch {
        struct str text;
        int64_t job, after, last; /* holds the events in (after,last] */
        enum feed_format format;
        bool ended; /* the last of them is `end` */
        int users;
};

struct reader {
        struct feed *feed;
        struct http_request *rq;     /* borrowed: outlives the reader */
        struct reader *next, **prev; /* in the bucket of its job */
        int64_t job, last;
        int64_t passed; /* an event that came though it asked for later ones alone, the newest; 0: none */
        enum feed_format format;
        struct batch *batch; /* being sent, NULL at rest */
        size_t sent;         /* of it */
        int64_t due_ms;      /* the next heartbeat */
        int64_t trust_ms;    /* when to ask again whether it may listen; as often */
        bool beat;           /* one is to be sent */
        bool news;           /* events came since it was woken */
        bool ended;
};

struct feed {
        struct jobs *jobs;
        int64_t heartbeat_ms, look_ms;
        int64_t wake_ms;                 /* not before this */
        bool news;                       /* a reader has some */
        int count;                       /* of readers */
        struct reader *readers[BUCKETS]; /* by job */
        struct batch *shared;            /* the last one made; readers of one job go in step */
};

static void batch_drop(struct batch *b)
{
        if (b && --b->users == 0) {
                str_free(&b->text);
                free(b);
        }
}

static int add_row(void *ctx, int64_t id, const char *event, const char *data)
{
        struct batch *b = ctx;
        if (b->format == FEED_SSE)
                str_addf(&b->text, "id: %lld\nevent: %s\ndata: %s\n\n", (long long)id, event, data);
        else
                str_addf(
                        &b->text, "{\"id\":%lld,\"event\":\"%s\",\"data\":%s}\n", (long long)id, event, data);
        b->last = id;
        b->ended = strcmp(event, "end") == 0;
        return 0;
}

/* The next events of a reader, NULL where there are none; shared with the readers that stand where it stands.
 */
static int next_batch(struct reader *r, struct batch **ret, struct err *e)
{
        struct feed *f = r->feed;
        struct batch *b = f->shared;
        if (b && b->job == r->job && b->after == r->last && b->format == r->format) {
                b->users++;
                *ret = b;
                return 0;
        }
        b = calloc(1, sizeof *b);
        if (!b)
                return err_set(e, ERR_NO_MEMORY, "no memory for events");
        *b = (struct batch){
                .job = r->job, .after = r->last, .last = r->last, .format = r->format, .users = 1};
        int rc = jobs_events(f->jobs, r->job, r->last, BATCH_EVENTS, add_row, b, e);
        if (rc == 0 && b->text.failed)
                rc = err_set(e, ERR_NO_MEMORY, "no memory for events");
        if (rc || b->last == r->last) {
                batch_drop(b);
                return rc;
        }
        batch_drop(f->shared);
        b->users++;
        f->shared = b;
        *ret = b;
        return 0;
}

static ssize_t send_batch(struct reader *r, char *out, size_t max)
{
        size_t n = r->batch->text.len - r->sent;
        if (n > max)
                n = max;
        memcpy(out, r->batch->text.data + r->sent, n);
        r->sent += n;
        if (r->sent == r->batch->text.len) {
                r->last = r->batch->last;
                r->ended = r->batch->ended;
                batch_drop(r->batch);
                r->batch = NULL;
        }
        return (ssize_t)n;
}

static ssize_t send_beat(const struct reader *r, char *out, size_t max)
{
        const char *text = r->format == FEED_SSE ? ":\n\n" : " ";
        size_t n = strlen(text);
        if (n > max)
                return 0;
        memcpy(out, text, n);
        return (ssize_t)n;
}

static int is_end(void *ctx, int64_t id, const char *event, const char *data)
{
        (void)id;
        (void)data;
        *(bool *)ctx = strcmp(event, "end") == 0;
        return 0;
}

/* The next batch; or else whether the job ended before what the reader asked for. */
static int look_further(struct reader *r, struct err *e)
{
        int rc = next_batch(r, &r->batch, e);
        int64_t passed = r->passed;
        r->passed = 0;
        if (rc || r->batch || !passed)
                return rc;
        return jobs_events(r->feed->jobs, r->job, passed - 1, 1, is_end, &r->ended, e);
}

static ssize_t reader_read(void *ctx, char *out, size_t max)
{
        struct reader *r = ctx;
        struct err e = {0};
        if (r->ended)
                return REPLY_END;
        if (!r->batch) {
                r->sent = 0;
                if (look_further(r, &e) != 0) {
                        log_line(LOG_WARN, "the stream of job %lld breaks off: %s", (long long)r->job,
                                e.message);
                        return REPLY_BROKEN;
                }
        }
        if (r->ended)
                return REPLY_END;
        if (!r->batch && !r->beat)
                return 0;
        r->due_ms = clock_now_ms() + r->feed->heartbeat_ms;
        r->beat = false;
        return r->batch ? send_batch(r, out, max) : send_beat(r, out, max);
}

static void reader_close(void *ctx)
{
        struct reader *r = ctx;
        *r->prev = r->next;
        if (r->next)
                r->next->prev = r->prev;
        r->feed->count--;
        batch_drop(r->batch);
        free(r);
}

static struct reader **bucket(struct feed *f, int64_t job)
{
        return &f->readers[(uint64_t)job % BUCKETS];
}

static void on_events(void *ctx, int64_t job, int64_t last)
{
        struct feed *f = ctx;
        for (struct reader *r = *bucket(f, job); r; r = r->next) {
                if (r->job != job)
                        continue;
                f->news = r->news = true;
                if (last <= r->last)
                        r->passed = last;
        }
}

struct feed *feed_create(struct jobs *js, double heartbeat_seconds)
{
        struct feed *f = calloc(1, sizeof *f);
        if (!f)
                return NULL;
        f->jobs = js;
        f->heartbeat_ms = (int64_t)(heartbeat_seconds * 1000);
        jobs_set_hook(js, on_events, f);
        return f;
}

void feed_destroy(struct feed *f)
{
        if (!f)
                return;
        jobs_set_hook(f->jobs, NULL, NULL);
        batch_drop(f->shared);
        free(f);
}

static int first_row(void *ctx, int64_t id, const char *event, const char *data)
{
        (void)id;
        (void)event;
        (void)data;
        *(bool *)ctx = true;
        return 0;
}

/* True when nothing comes after `after` any more. */
static int is_over(struct feed *f, int64_t job, int64_t after, bool *ret, struct err *e)
{
        bool more = false;
        cJSON *tree = NULL;
        int rc = jobs_events(f->jobs, job, after, 1, first_row, &more, e);
        if (rc == 0 && !more)
                rc = jobs_get(f->jobs, job, &tree, e);
        if (rc)
                return rc;
        const cJSON *state = json_field(tree, "state");
        *ret = !more && cJSON_IsString(state) &&
               job_state_final((enum job_state)job_state_parse(state->valuestring));
        cJSON_Delete(tree);
        return 0;
}

int feed_open(struct feed *f, struct http_request *rq, int64_t job, int64_t after, enum feed_format format,
        struct err *e)
{
        bool over = false;
        int rc = is_over(f, job, after, &over, e);
        if (rc)
                return rc;
        if (over) { /* to an EventSource that came back, 204 says to stay away */
                reply_empty(&rq->reply, 204);
                return 0;
        }
        struct reader *r = calloc(1, sizeof *r);
        if (!r)
                return err_set(e, ERR_NO_MEMORY, "no memory for a stream");
        *r = (struct reader){.feed = f,
                .rq = rq,
                .job = job,
                .last = after,
                .format = format,
                .due_ms = clock_now_ms() + f->heartbeat_ms};
        r->trust_ms = r->due_ms;
        r->prev = bucket(f, job);
        r->next = *r->prev;
        if (r->next)
                r->next->prev = &r->next;
        *r->prev = r;
        f->count++;
        reply_stream(&rq->reply, format == FEED_SSE ? "text/event-stream" : "application/x-ndjson",
                &(struct reply_stream){.ctx = r, .read = reader_read, .close = reader_close});
        reply_header(&rq->reply, "X-Accel-Buffering", "no"); /* nginx would hold events back */
        return 0;
}

static void wake_for_news(struct feed *f, int64_t now_ms)
{
        f->news = false;
        f->wake_ms = now_ms + f->count / READERS_PER_MS;
        for (int i = 0; i < BUCKETS; i++)
                for (struct reader *r = f->readers[i]; r; r = r->next)
                        if (r->news) {
                                r->news = false;
                                http_wake(r->rq);
                        }
}

/* A token may have been revoked since the stream was opened. */
static void check_trust(struct reader *r, int64_t now_ms)
{
        struct err e = {0};
        if (now_ms < r->trust_ms)
                return;
        r->trust_ms = now_ms + r->feed->heartbeat_ms;
        if (http_know_again(r->rq, &e) != ERR_LOGIN)
                return;
        log_line(LOG_INFO, "a stream of job %lld ends: %s", (long long)r->job, e.message);
        r->ended = true;
        http_wake(r->rq);
}

static void look_after(struct feed *f, int64_t now_ms)
{
        f->look_ms = now_ms + (f->heartbeat_ms < LOOK_MS ? f->heartbeat_ms : LOOK_MS);
        for (int i = 0; i < BUCKETS; i++)
                for (struct reader *r = f->readers[i]; r; r = r->next) {
                        check_trust(r, now_ms);
                        /* One that closed its side may read on: only what is sent to it tells. */
                        if (r->due_ms <= now_ms || http_gone(r->rq)) {
                                r->beat = true;
                                http_wake(r->rq);
                        }
                }
}

void feed_tick(struct feed *f, int64_t now_ms)
{
        if (f->news && now_ms >= f->wake_ms)
                wake_for_news(f, now_ms);
        if (now_ms >= f->look_ms)
                look_after(f, now_ms);
}

int feed_timeout_ms(const struct feed *f, int64_t now_ms)
{
        int64_t next = f->news && f->wake_ms < f->look_ms ? f->wake_ms : f->look_ms;
        return next > now_ms ? (int)(next - now_ms) : 0;
}
