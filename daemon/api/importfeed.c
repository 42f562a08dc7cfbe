#include "daemon/api/importfeed.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/str.h"

#include <stdlib.h>
#include <string.h>

enum { LAG_BYTES = 4096 /* a reader that has so much before it gets no further step */ };

struct watcher {
        struct importfeed *feed;
        struct http_request *rq; /* borrowed: outlives the watcher */
        struct watcher *next, **prev;
        int import, id; /* `id` of its last event */
        enum feed_format format;
        bool owner, ended;
        struct str text; /* owned; to be sent from `sent` on */
        size_t sent;
        int64_t due_ms; /* the next heartbeat, and look at its token */
};

struct importfeed {
        struct imports *imports;
        int64_t heartbeat_ms;
        struct watcher *list;
};

static ssize_t watcher_read(void *ctx, char *out, size_t max)
{
        struct watcher *w = ctx;
        size_t n = w->text.len - w->sent;
        if (w->text.failed || (n == 0 && w->ended))
                return -1;
        n = n < max ? n : max;
        if (n)
                memcpy(out, w->text.data + w->sent, n);
        w->sent += n;
        if (w->sent == w->text.len) {
                str_clear(&w->text);
                w->sent = 0;
        }
        return (ssize_t)n;
}

static void watcher_close(void *ctx)
{
        struct watcher *w = ctx;
        *w->prev = w->next;
        if (w->next)
                w->next->prev = w->prev;
        if (w->owner && !w->ended)
                imports_stop(w->feed->imports, w->import, "the client left");
        str_free(&w->text);
        free(w);
}

static void tell(struct watcher *w, const char *event, const char *data)
{
        bool end = strcmp(event, "end") == 0;
        if (w->ended || (!end && w->text.len - w->sent > LAG_BYTES))
                return;
        w->id++;
        if (w->format == FEED_SSE)
                str_addf(&w->text, "id: %d\nevent: %s\ndata: %s\n\n", w->id, event, data);
        else
                str_addf(&w->text, "{\"id\":%d,\"event\":\"%s\",\"data\":%s}\n", w->id, event, data);
        w->ended = end;
        http_wake(w->rq);
}

static void on_event(void *ctx, int id, const char *event, const cJSON *data)
{
        struct importfeed *f = ctx;
        char *text = f->list ? json_text(data) : NULL;
        for (struct watcher *w = f->list; text && w; w = w->next)
                if (w->import == id)
                        tell(w, event, text);
        free(text);
}

struct importfeed *importfeed_create(struct imports *is, double heartbeat_seconds)
{
        struct importfeed *f = calloc(1, sizeof *f);
        if (!f)
                return NULL;
        f->imports = is;
        f->heartbeat_ms = (int64_t)(heartbeat_seconds * 1000);
        imports_set_hook(is, on_event, f);
        return f;
}

void importfeed_destroy(struct importfeed *f)
{
        if (!f)
                return;
        imports_set_hook(f->imports, NULL, NULL);
        free(f);
}

int importfeed_open(struct importfeed *f, struct http_request *rq, int id, enum feed_format format,
        bool owner, struct err *e)
{
        const cJSON *now = imports_progress(f->imports, id);
        char *text = now ? json_text(now) : NULL;
        struct watcher *w = calloc(1, sizeof *w);
        if (!w || (now && !text)) {
                free(text);
                free(w);
                return err_set(e, ERR_NO_MEMORY, "no memory for a stream");
        }
        *w = (struct watcher){.feed = f,
                .rq = rq,
                .next = f->list,
                .prev = &f->list,
                .import = id,
                .format = format,
                .owner = owner,
                .due_ms = clock_now_ms() + f->heartbeat_ms};
        if (w->next)
                w->next->prev = &w->next;
        f->list = w;
        if (text)
                tell(w, "progress", text);
        free(text);
        reply_stream(&rq->reply, format == FEED_SSE ? "text/event-stream" : "application/x-ndjson",
                &(struct reply_stream){.ctx = w, .read = watcher_read, .close = watcher_close});
        reply_header(&rq->reply, "X-Accel-Buffering", "no"); /* nginx would hold events back */
        return 0;
}

static void look_after(struct watcher *w, int64_t now_ms)
{
        struct err e = {0};
        if (w->ended)
                return;
        if (w->owner && http_gone(w->rq))
                imports_stop(w->feed->imports, w->import, "the client left");
        if (now_ms < w->due_ms)
                return;
        w->due_ms = now_ms + w->feed->heartbeat_ms;
        if (http_know_again(w->rq, &e) == ERR_LOGIN) {
                log_line(LOG_INFO, "a stream of an import ends: %s", e.message);
                w->ended = true;
        } else {
                str_add(&w->text, w->format == FEED_SSE ? ":\n\n" : " ");
        }
        http_wake(w->rq);
}

void importfeed_tick(struct importfeed *f, int64_t now_ms)
{
        for (struct watcher *w = f->list; w; w = w->next)
                look_after(w, now_ms);
}
