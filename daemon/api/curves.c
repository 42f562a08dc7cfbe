#include "daemon/api/curves.h"

#include "base/json.h"

#include <stdlib.h>
#include <string.h>

struct reading {
        struct reading *next;
        struct http_request *rq;
        struct curve curve;
        cJSON *job; /* owned */
        curves_write write;
};

struct curves {
        struct jobs *jobs;
        struct reading *first; /* whose turn it is */
        int count;
};

struct curves *curves_create(struct jobs *js)
{
        struct curves *cs = calloc(1, sizeof *cs);
        if (cs)
                cs->jobs = js;
        return cs;
}

static void reading_free(struct reading *r)
{
        if (!r)
                return;
        curve_finish(&r->curve);
        cJSON_Delete(r->job);
        free(r);
}

void curves_destroy(struct curves *cs)
{
        if (!cs)
                return;
        while (cs->first) {
                struct reading *r = cs->first;
                cs->first = r->next;
                reading_free(r);
        }
        free(cs);
}

static void push(struct curves *cs, struct reading *r)
{
        struct reading **place = &cs->first;
        while (*place)
                place = &(*place)->next;
        r->next = NULL;
        *place = r;
        cs->count++;
}

static int find_room(const struct curves *cs, const struct identity *who, struct err *e)
{
        int own = 0;
        for (const struct reading *r = cs->first; r; r = r->next)
                own += strcmp(r->rq->who.user, who->user) == 0;
        if (own >= CURVES_SHARE && !who->operator)
                return err_set(e, ERR_QUOTA, "%d long curves are being read for you already; try again", own);
        if (cs->count >= CURVES_MAX)
                return err_set(e, ERR_QUOTA, "%d long curves are being read already; try again", cs->count);
        return 0;
}

int curves_answer(struct curves *cs, struct http_request *rq, int64_t job, curves_write write, struct err *e)
{
        bool more = false;
        struct reading *r = calloc(1, sizeof *r);
        if (!r)
                return err_set(e, ERR_NO_MEMORY, "no memory for a curve");
        r->rq = rq;
        r->write = write;
        r->curve.job = job;
        int rc = jobs_get(cs->jobs, job, &r->job, e);
        if (rc == 0)
                rc = curve_load(cs->jobs, CURVES_ROWS, &r->curve, &more, e);
        if (rc == 0 && more)
                rc = find_room(cs, &rq->who, e);
        if (rc == 0 && more) {
                push(cs, r);
                return HTTP_LATER;
        }
        if (rc == 0)
                rc = write(rq, &r->curve, r->job, e);
        reading_free(r);
        return rc;
}

void curves_tick(struct curves *cs)
{
        struct reading *r = cs->first;
        struct err e = {0};
        bool more = false;
        if (!r)
                return;
        json_begin();
        cs->first = r->next;
        cs->count--;
        int rc = http_gone(r->rq) ? err_set(&e, ERR_CANCELLED, "nobody waits for this curve any more")
                                  : curve_load(cs->jobs, CURVES_ROWS, &r->curve, &more, &e);
        if (rc == 0 && more) {
                push(cs, r);
                return;
        }
        if (rc == 0)
                rc = r->write(r->rq, &r->curve, r->job, &e);
        http_answer(r->rq, rc, &e);
        reading_free(r);
}

int curves_timeout_ms(const struct curves *cs)
{
        return cs->first ? 0 : -1;
}
