#include "client/retry.h"
#include "base/clock.h"
#include "client/rest.h"

#include <time.h>

enum { FIRST_PAUSE_MS = 200, LONGEST_PAUSE_MS = 5000, TICK_MS = 50, LOOK_S = 10, UNAVAILABLE = 503 };

bool retry_may_help(int status)
{
        return status == 429 || status == 502 || status == UNAVAILABLE || status == 504;
}

int retry_pause(fetch_tick tick, void *data, int64_t ms)
{
        int64_t until = clock_now_ms() + ms;
        int rc = 0;
        for (int64_t left; rc == 0 && (left = until - clock_now_ms()) > 0;) {
                struct timespec t = {.tv_nsec = 1000000 * (long)(left < TICK_MS ? left : TICK_MS)};
                nanosleep(&t, NULL);
                if (tick)
                        rc = tick(data);
        }
        return rc;
}

/* Neither starting nor ending. */
static bool is_well(struct retry *r)
{
        const struct fetch_request q = {.method = "GET", .path = "/v1/health", .stall_s = LOOK_S};
        struct fetch_reply reply = {0};
        struct err ignored;
        const bool well = fetch_send(r->http, &q, &reply, NULL, &ignored) == 0 && reply.status == 200;
        fetch_reply_finish(&reply);
        return well;
}

/* An answer that says something, or an error that more tries do not mend. */
static bool settle(struct retry *r, int rc)
{
        if (rc == 0 && r->away && r->told)
                r->told(r->data, NULL);
        r->reached |= rc == 0;
        r->away = r->away && rc != 0;
        return false;
}

bool retry_again(struct retry *r, int *rc, struct fetch_reply *reply, struct err *e)
{
        const bool refused = *rc == 0 && retry_may_help(reply->status);
        if (!refused && (*rc != ERR_CLOSED || !r->reached)) {
                r->unwell = 0;
                return settle(r, *rc);
        }
        if (refused && reply->status == UNAVAILABLE && is_well(r)) {
                r->unwell++;
                return settle(r, *rc);
        }
        if (refused)
                rest_refused(reply, e);
        if (!r->away) {
                r->pause_ms = FIRST_PAUSE_MS;
                r->until_ms = clock_now_ms() + (int64_t)r->give_up_s * 1000;
                if (r->told)
                        r->told(r->data, e->message);
        }
        r->away = true;
        r->reached |= refused;
        const int64_t asked_ms = (int64_t)reply->retry_after_s * 1000, left_ms = r->until_ms - clock_now_ms();
        int64_t ms = r->pause_ms > asked_ms ? r->pause_ms : asked_ms;
        if (*rc == 0)
                fetch_reply_finish(reply);
        if (left_ms <= 0) {
                err_wrap(e, refused ? "refused for %d s" : "no answer for %d s", r->give_up_s);
                if (!refused)
                        e->code = ERR_CLOSED;
                *rc = e->code;
                return false;
        }
        r->pause_ms = r->pause_ms * 2 < LONGEST_PAUSE_MS ? r->pause_ms * 2 : LONGEST_PAUSE_MS;
        *rc = retry_pause(r->tick, r->data, ms < left_ms ? ms : left_ms);
        return *rc == 0;
}
