#include "device/cl.h"

#include <stdlib.h>
#include <string.h>

/* What a driver that has lost its device may still read: it is nobody's until the process ends, which it does
   soon. */
static struct left {
        struct left *next;
        void *copy;
} * all_left;

static void let_go(const struct pending *p)
{
        cl_int state;
        cl_int status =
                clGetEventInfo(p->event, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof state, &state, NULL);
        struct left *left = NULL;
        if (status == CL_SUCCESS && state <= CL_COMPLETE)
                free(p->copy);
        else if ((left = malloc(sizeof *left)) != NULL)
                *left = (struct left){all_left, p->copy};
        all_left = left ? left : all_left;
}

/* The first `count`. */
static void forget(struct dev *d, int count)
{
        for (int i = 0; i < count; i++) {
                if (d->pending[i].copy)
                        let_go(&d->pending[i]);
                clReleaseEvent(d->pending[i].event);
        }
        d->num_pending -= count;
        memmove(d->pending, d->pending + count, (size_t)d->num_pending * sizeof *d->pending);
}

static int check(struct dev *d, int count, struct err *e)
{
        int rc = 0;
        for (int i = 0; i < count && rc == 0; i++) {
                const struct pending *p = &d->pending[i];
                cl_int state = CL_COMPLETE,
                       status = clGetEventInfo(
                               p->event, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof state, &state, NULL);
                if (status != CL_SUCCESS)
                        rc = err_cl(e, status, "asking %s how %s ended", d->info.name, p->what);
                else if (state < 0)
                        rc = err_cl(e, state, "%s failed on %s", p->what, d->info.name);
        }
        forget(d, count);
        d->num_before = d->num_pending;
        return rc;
}

int pending_check(struct dev *d, struct err *e)
{
        return check(d, d->num_pending, e);
}

int dev_catch_up(struct dev *d, struct err *e)
{
        const int count = d->num_before;
        cl_int status = clFlush(d->queue);
        if (status == CL_SUCCESS && count) /* all before it are done then, too: the queue is in order */
                status = clWaitForEvents(1, &d->pending[count - 1].event);
        int rc = check(d, count, e);
        if (rc == 0 && status != CL_SUCCESS)
                rc = err_cl(e, status, "waiting for %s", d->info.name);
        return rc;
}

int pending_add_copy(struct dev *d, cl_event event, const char *what, void *copy, struct err *e)
{
        d->pending[d->num_pending++] = (struct pending){event, what, copy};
        return d->num_pending < PENDING_MAX ? 0 : dev_finish(d, e);
}

int pending_add(struct dev *d, cl_event event, const char *what, struct err *e)
{
        return pending_add_copy(d, event, what, NULL, e);
}
