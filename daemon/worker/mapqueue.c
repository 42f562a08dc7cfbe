#include "daemon/worker/mapqueue.h"

#include "base/log.h"
#include "daemon/worker/mapper.h"
#include "daemon/common/wire.h"

#include <pthread.h>
#include <stdlib.h>

struct order {
        struct order *next;
        struct chan_message m; /* owned */
};

struct mapqueue {
        const struct voice *voice;
        struct mapper *map; /* the engine thread's own: the map in hand */
        /* Under `lock`: */
        pthread_mutex_t lock;
        struct order *first; /* owned */
        int64_t request;     /* in hand, 0 for none */
        bool unwanted;       /* it was dropped */
        int done, windows;
};

struct mapqueue *mapqueue_create(const struct voice *voice)
{
        struct mapqueue *q = calloc(1, sizeof *q);
        if (!q)
                return NULL;
        pthread_mutex_init(&q->lock, NULL);
        q->voice = voice;
        return q;
}

static void order_free(struct order *o)
{
        chan_message_finish(&o->m);
        free(o);
}

void mapqueue_destroy(struct mapqueue *q)
{
        if (!q)
                return;
        while (q->first) {
                struct order *o = q->first;
                q->first = o->next;
                order_free(o);
        }
        mapper_destroy(q->map);
        pthread_mutex_destroy(&q->lock);
        free(q);
}

int mapqueue_post(struct mapqueue *q, struct chan_message *m, struct err *e)
{
        struct order *o = calloc(1, sizeof *o);
        if (!o)
                return err_set(e, ERR_NO_MEMORY, "no memory for a map");
        o->m = *m;
        *m = (struct chan_message){0};
        pthread_mutex_lock(&q->lock);
        struct order **place = &q->first;
        while (*place)
                place = &(*place)->next;
        *place = o;
        pthread_mutex_unlock(&q->lock);
        return 0;
}

void mapqueue_drop(struct mapqueue *q, int64_t request)
{
        pthread_mutex_lock(&q->lock);
        q->unwanted = q->unwanted || q->request == request;
        for (struct order **place = &q->first; *place;) {
                struct order *o = *place;
                if (wire_int(o->m.head, "request") == request) {
                        *place = o->next;
                        order_free(o);
                } else {
                        place = &o->next;
                }
        }
        pthread_mutex_unlock(&q->lock);
}

void mapqueue_progress(struct mapqueue *q, int *ret_done, int *ret_windows)
{
        pthread_mutex_lock(&q->lock);
        *ret_done = q->done;
        *ret_windows = q->windows;
        pthread_mutex_unlock(&q->lock);
}

bool mapqueue_waits(struct mapqueue *q)
{
        pthread_mutex_lock(&q->lock);
        const bool waits = q->first || q->request;
        pthread_mutex_unlock(&q->lock);
        return waits;
}

bool mapqueue_busy(const struct mapqueue *q)
{
        return q->map != NULL;
}

static void end(struct mapqueue *q)
{
        mapper_destroy(q->map);
        q->map = NULL;
        pthread_mutex_lock(&q->lock);
        q->request = 0;
        q->unwanted = false;
        q->done = q->windows = 0;
        pthread_mutex_unlock(&q->lock);
}

/* A front that is gone ends this process by itself. */
static void answer(const struct mapqueue *q, const struct str *body)
{
        struct err e;
        if (voice_say(q->voice, voice_head("mapped", "request", q->request), body->data, body->len, &e))
                log_line(LOG_WARN, "a map was not sent: %s", e.message);
}

/* Takes the next order in hand. */
static int begin(struct mapqueue *q, struct dev *d, struct loaded *l, struct err *e)
{
        pthread_mutex_lock(&q->lock);
        struct order *o = q->first;
        if (o)
                q->first = o->next;
        q->request = o ? wire_int(o->m.head, "request") : 0;
        pthread_mutex_unlock(&q->lock);
        if (!o)
                return 0;
        int rc = mapper_create(d, l, &o->m, &q->map, e);
        order_free(o);
        return rc;
}

/* Classifies a batch; *ret_over after the last one. */
static int step(struct mapqueue *q, bool *ret_over, struct err *e)
{
        int done, windows;
        int rc = mapper_step(q->map, e);
        mapper_progress(q->map, &done, &windows);
        pthread_mutex_lock(&q->lock);
        q->done = done;
        q->windows = windows;
        pthread_mutex_unlock(&q->lock);
        *ret_over = done == windows;
        return rc;
}

int mapqueue_work(struct mapqueue *q, struct dev *d, struct loaded *l, struct err *e)
{
        struct str body = {0};
        bool over = false;
        int rc = q->map ? 0 : begin(q, d, l, e);
        if (rc || !q->map)
                return rc;
        pthread_mutex_lock(&q->lock);
        const bool unwanted = q->unwanted;
        pthread_mutex_unlock(&q->lock);
        if (!unwanted)
                rc = step(q, &over, e);
        if (rc == 0 && over)
                rc = mapper_body(q->map, &body, e);
        if (rc == 0 && over)
                answer(q, &body);
        if (rc == 0 && (over || unwanted))
                end(q);
        str_free(&body);
        return rc;
}

void mapqueue_fail(struct mapqueue *q, const struct err *why)
{
        voice_fail(q->voice, "classify_failed", "request", q->request, why);
        end(q);
}
