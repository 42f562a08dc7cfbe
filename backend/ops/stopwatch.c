#include "ops/stopwatch.h"
#include "device/buf.h"
#include "ops/trial.h"

#include <stdlib.h>

/* Runs that take so long are not disturbed by much. */
#define LONG_SECONDS 0.5

enum { MOST_BUFFERS = 4 + 2 * OP_MAX_PARAMS + OP_MAX_SAVED + 1 };

struct stopwatch {
        const struct op *op;            /* borrowed */
        struct buf *bufs[MOST_BUFFERS]; /* owned */
        int count;
        struct op_call call;
};

static double now(clockid_t clock)
{
        struct timespec t;
        clock_gettime(clock, &t);
        return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Small numbers of both signs; one page of them, over and over: made of them on the device, for what a host
 * sends it in small pieces takes longer than what is measured. */
static int add(struct stopwatch *w, uint64_t floats, struct view *ret, struct err *e)
{
        enum { PAGE = 4096 };
        float page[PAGE];
        uint64_t seed = floats;
        const size_t first = (floats < PAGE ? (size_t)floats : PAGE) * sizeof *page;
        for (int i = 0; i < PAGE; i++)
                page[i] = (float)(trial_uniform(&seed) - 0.5);
        int rc = buf_create(w->call.dev, floats * sizeof *page, "a measurement", &ret->buf, e);
        if (rc)
                return rc;
        w->bufs[w->count++] = ret->buf;
        rc = buf_write(ret->buf, 0, page, first, e);
        return rc || first == 0 ? rc : buf_repeat(ret->buf, first, e);
}

static int add_tensor(
        struct stopwatch *w, int n, struct shape s, int lanes, struct tensor *ret, struct err *e)
{
        struct view at = {0};
        const int rc = add(w, tensor_floats(n, s, lanes), &at, e);
        *ret = tensor_whole(at, n, s, lanes);
        return rc;
}

static int add_all(struct stopwatch *w, int n, int lanes, struct err *e)
{
        const struct op *op = w->op;
        struct op_call *c = &w->call;
        struct op_needs needs = {0};
        if (op->kind->needs)
                op->kind->needs(op, n, lanes, dev_info(c->dev), &needs);
        int rc = add_tensor(w, n, op->in[0], lanes, &c->x[0], e);
        if (rc == 0)
                rc = add_tensor(w, n, op->in[0], lanes, &c->dx[0], e);
        if (rc == 0)
                rc = add_tensor(w, n, op->out, lanes, &c->y, e);
        if (rc == 0)
                rc = add_tensor(w, n, op->out, lanes, &c->dy, e);
        for (int i = 0; i < op->num_params && rc == 0; i++) {
                rc = add(w, (uint64_t)op_param_count(&op->params[i]), &c->params[i], e);
                if (rc == 0)
                        rc = add(w, (uint64_t)op_param_count(&op->params[i]), &c->dparams[i], e);
        }
        for (int i = 0; i < needs.num_saved && rc == 0; i++)
                rc = add(w, needs.saved[i], &c->saved[i], e);
        const uint64_t workspace = needs.workspace_forward > needs.workspace_backward
                                           ? needs.workspace_forward
                                           : needs.workspace_backward;
        return rc == 0 && workspace ? add(w, workspace, &c->workspace, e) : rc;
}

int stopwatch_create(
        struct dev *d, const struct op *op, int n, int lanes, struct stopwatch **ret, struct err *e)
{
        struct stopwatch *w = calloc(1, sizeof *w);
        if (!w)
                return err_set(e, ERR_NO_MEMORY, "no memory for a measurement");
        w->op = op;
        w->call.dev = d;
        w->call.training = true;
        const int rc = add_all(w, n, lanes, e);
        if (rc) {
                stopwatch_destroy(w);
                return rc;
        }
        *ret = w;
        return 0;
}

void stopwatch_destroy(struct stopwatch *w)
{
        if (!w)
                return;
        for (int i = 0; i < w->count; i++)
                buf_destroy(w->bufs[i]);
        free(w);
}

int stopwatch_record(struct stopwatch *w, enum op_direction direction, enum op_variant variant,
        struct launch_list **ret, struct err *e)
{
        struct launch_list *list;
        struct op_call c = w->call;
        int rc = launch_list_create(&list, e);
        if (rc)
                return rc;
        c.variants[direction] = variant;
        for (int i = 0; i < OP_MAX_PARAMS && direction == OP_DATA; i++)
                c.dparams[i].buf = NULL;
        for (int i = 0; i < OP_MAX_INPUTS && direction == OP_WEIGHTS; i++)
                c.dx[i].at.buf = NULL;
        launch_record(c.dev, list);
        rc = direction == OP_FORWARD ? w->op->kind->forward(w->op, &c, e)
                                     : w->op->kind->backward(w->op, &c, e);
        launch_record_end(c.dev);
        if (rc) {
                launch_list_destroy(list);
                return rc;
        }
        *ret = list;
        return 0;
}

static bool wants_more(int runs, double seconds, double least)
{
        return runs == 0 || seconds < least || (runs < 3 && seconds < LONG_SECONDS);
}

int stopwatch_time(struct stopwatch *w, struct launch_list *list, double least, clockid_t clock, double *ret,
        struct err *e)
{
        double best = 0;
        int rc = launch_list_run(w->call.dev, list, e);
        if (rc == 0)
                rc = dev_finish(w->call.dev, e);
        const double start = now(CLOCK_MONOTONIC);
        for (int i = 0; rc == 0 && wants_more(i, now(CLOCK_MONOTONIC) - start, least); i++) {
                const double from = now(clock);
                rc = launch_list_run(w->call.dev, list, e);
                if (rc == 0)
                        rc = dev_finish(w->call.dev, e);
                const double seconds = now(clock) - from;
                if (i == 0 || seconds < best)
                        best = seconds;
        }
        if (rc == 0)
                *ret = best;
        return rc;
}
