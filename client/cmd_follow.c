#include "base/clock.h"
#include "base/json.h"
#include "client/rest.h"
#include "client/args.h"
#include "client/chart.h"
#include "client/command.h"
#include "client/events.h"
#include "client/interrupt.h"
#include "client/lines.h"
#include "client/live.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { WAIT_S = 60, LOOK_S = 10 };

/* A job being followed, drawn or printed. */
struct follower {
        struct ctl *c;
        int64_t id;
        struct chart chart; /* of a drawn one */
        struct live live;
        bool drawn;
        struct interrupt interrupt;
        char end[16], failure[512]; /* the state it ended in, and why */
        struct err *e;
};

static int get_job(struct ctl *c, int64_t id, cJSON **ret, struct err *e)
{
        char path[64];
        struct fetch_request q = {.method = "GET", .path = path, .stall_s = LOOK_S};
        snprintf(path, sizeof path, "/v1/jobs/%" PRId64, id);
        return rest_call(c->http, &q, NULL, ret, e);
}

static int on_event(void *data, const struct event *ev)
{
        struct follower *f = data;
        int rc = 0;
        cJSON *tree = json_parse(ev->data, strlen(ev->data), f->e);
        if (!tree)
                return err_wrap(f->e, "event %" PRId64 " of job %" PRId64, ev->id, f->id);
        if (f->drawn) {
                rc = chart_add_event(&f->chart, ev->kind, tree, clock_now_s(), f->e);
                live_touch(&f->live);
        } else {
                rc = f->c->json ? lines_print_json(ev, f->e) : lines_print(ev, tree, f->e);
        }
        if (rc == 0 && strcmp(ev->kind, "end") == 0) {
                snprintf(f->end, sizeof f->end, "%s", rest_text(tree, "state", "?"));
                snprintf(f->failure, sizeof f->failure, "%s", rest_text(tree, "error", ""));
                rc = 1;
        }
        cJSON_Delete(tree);
        return rc;
}

static void on_link(void *data, const char *why)
{
        struct follower *f = data;
        if (f->drawn) {
                snprintf(f->live.note, sizeof f->live.note, "%s", why ? "no server, looking for it" : "");
                chart_lose_pace(&f->chart);
                live_touch(&f->live);
        } else if (why) {
                fprintf(stderr, "cnnctl: %s; trying again\n", why);
        } else {
                fprintf(stderr, "cnnctl: the server at %s is back\n", fetch_url(f->c->http));
        }
}

static int on_tick(void *data)
{
        struct follower *f = data;
        int rc = 0;
        for (enum interrupt_kind kind; rc == 0 && (kind = interrupt_poll(&f->interrupt)) != INTERRUPT_NONE;) {
                if (kind == INTERRUPT_RESIZE && f->drawn)
                        live_resize(&f->live);
                else if (kind == INTERRUPT_STOP && f->drawn)
                        rc = live_suspend(&f->live, clock_now_s(), f->e);
                else if (kind == INTERRUPT_STOP)
                        interrupt_stop();
        }
        if (f->interrupt.ended_by)
                return err_set(f->e, ERR_CANCELLED, "interrupted");
        return rc == 0 && f->drawn ? live_tick(&f->live, clock_now_s(), f->e) : rc;
}

/* The end in words on standard error, and the exit status for it. */
static int conclude(const struct follower *f, int rc)
{
        if (f->interrupt.ended_by) {
                fprintf(stderr, "job %" PRId64 " goes on; follow it again with: cnnctl follow %" PRId64 "\n",
                        f->id, f->id);
                return STATUS_SIGNAL + f->interrupt.ended_by;
        }
        if (rc != 0)
                return rc;
        if (strcmp(f->end, "succeeded") == 0)
                return STATUS_DONE;
        command_say("job %" PRId64 " %s%s%s%s", f->id, strcmp(f->end, "cancelled") == 0 ? "was " : "", f->end,
                f->failure[0] ? ": " : "", f->failure);
        return STATUS_FAILED;
}

/* The picture's last state says how long the job took; where the server has gone since, it does without. */
static void draw_end(struct follower *f)
{
        struct err ignored;
        cJSON *job = NULL;
        if (f->end[0] && get_job(f->c, f->id, &job, &ignored) == 0)
                chart_set_job(&f->chart, job);
        if (f->end[0])
                snprintf(f->chart.state, sizeof f->chart.state, "%s", f->end);
        cJSON_Delete(job);
}

int command_follow(struct ctl *c, const struct args *a, int64_t id, struct err *e)
{
        struct follower f = {.c = c, .id = id, .drawn = c->term.live && !c->json, .e = e};
        struct events_request q = {.job = id,
                .give_up_s = (int)args_int(a, "wait", WAIT_S),
                .sink = on_event,
                .link = on_link,
                .tick = on_tick,
                .data = &f};
        cJSON *job = NULL;
        struct err ending = {0};
        int rc = f.drawn ? get_job(c, id, &job, e) : 0;
        if (rc != 0)
                return rc;
        chart_init(&f.chart);
        if (f.drawn)
                chart_set_job(&f.chart, job);
        cJSON_Delete(job);
        live_init(&f.live, &c->term, &f.chart);
        interrupt_begin(&f.interrupt);
        rc = events_read(c->http, &q, e);
        if (f.drawn) {
                draw_end(&f);
                int drawn = live_end(&f.live, clock_now_s(), &ending);
                if (rc == 0 && drawn != 0) {
                        *e = ending;
                        rc = drawn;
                }
        }
        interrupt_end(&f.interrupt);
        chart_finish(&f.chart);
        return conclude(&f, rc);
}

int cmd_follow(struct ctl *c, const struct args *a, struct err *e)
{
        return command_follow(c, a, args_id(a, 0), e);
}
