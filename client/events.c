#include "client/events.h"
#include "base/clock.h"
#include "client/rest.h"
#include "client/retry.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>

/* The server sends a heartbeat every 15 s: three of them missing mean a dead connection. */
enum { STALL_S = 45, FIRST_PAUSE_MS = 200, LONGEST_PAUSE_MS = 5000 };

struct reader {
        const struct events_request *q;
        struct sse sse;
        int64_t last_id; /* -1 before the first event */
        bool heard;      /* bytes came over this connection */
        bool opened;     /* a stream was open once */
        bool lost;       /* and has been broken since */
        bool done;
        struct err *e;
};

static int on_event(void *data, const struct event *ev)
{
        struct reader *r = data;
        if (ev->id >= 0 && ev->id <= r->last_id)
                return 0;
        if (ev->id >= 0)
                r->last_id = ev->id;
        int rc = r->q->sink(r->q->data, ev);
        r->done = rc > 0;
        return rc > 0 ? ERR_CANCELLED : rc;
}

static int on_bytes(void *data, const void *bytes, size_t len)
{
        struct reader *r = data;
        if (r->lost && r->q->link)
                r->q->link(r->q->data, NULL);
        r->lost = false;
        r->opened = r->heard = true;
        return sse_feed(&r->sse, bytes, len, on_event, r, r->e);
}

/* One connection. 0 when it ended without a reason to stop: `e` says why then; `*ret_wait_s` is what the
 * server asks. */
static int read_once(struct fetch *h, struct reader *r, int *ret_wait_s, struct err *e)
{
        char path[64], last[64];
        struct fetch_reply reply = {0};
        struct fetch_request q = {.method = "GET",
                .path = path,
                .headers = {"Accept: text/event-stream", "Cache-Control: no-store"},
                .sink = on_bytes,
                .sink_data = r,
                .tick = r->q->tick,
                .tick_data = r->q->data,
                .stall_s = STALL_S};
        snprintf(path, sizeof path, "/v1/jobs/%" PRId64 "/events", r->q->job);
        if (r->last_id >= 0) {
                snprintf(last, sizeof last, "Last-Event-ID: %" PRId64, r->last_id);
                q.headers[2] = last;
        }
        sse_finish(&r->sse);
        r->heard = false;
        r->e = e;
        int rc = fetch_send(h, &q, &reply, NULL, e);
        if (rc == 0 && retry_may_help(reply.status)) {
                rest_refused(&reply, e);
                *ret_wait_s = reply.retry_after_s;
        } else if (rc == 0 && reply.status / 100 != 2) {
                rc = rest_refused(&reply, e);
        } else if (rc == 0) {
                r->opened = true;
                err_set(e, ERR_CLOSED, "the server at %s closed the stream", fetch_url(h));
        } else if (rc == ERR_CLOSED) {
                rc = r->opened ? 0 : rc;
        }
        fetch_reply_finish(&reply);
        return rc;
}

int events_read(struct fetch *h, const struct events_request *q, struct err *e)
{
        struct reader r = {.q = q, .last_id = -1};
        int64_t pause = FIRST_PAUSE_MS, give_up_at = 0;
        int rc;
        for (;;) {
                int wait_s = 0;
                rc = read_once(h, &r, &wait_s, e);
                if (rc != 0)
                        break;
                if (r.heard || !r.lost) {
                        pause = FIRST_PAUSE_MS;
                        give_up_at = clock_now_ms() + (int64_t)q->give_up_s * 1000;
                }
                int64_t left = give_up_at - clock_now_ms();
                if (left <= 0) {
                        err_wrap(e, "no stream of events for %d s", q->give_up_s);
                        rc = e->code = ERR_CLOSED;
                        break;
                }
                if (!r.lost && q->link)
                        q->link(q->data, e->message);
                r.lost = true;
                int64_t ms = pause > r.sse.retry_ms ? pause : r.sse.retry_ms;
                ms = ms > wait_s * 1000 ? ms : wait_s * 1000;
                rc = retry_pause(q->tick, q->data, ms < left ? ms : left);
                if (rc != 0)
                        break;
                pause = pause * 2 < LONGEST_PAUSE_MS ? pause * 2 : LONGEST_PAUSE_MS;
        }
        sse_finish(&r.sse);
        return r.done ? 0 : rc;
}
