#include "device/cl.h"

static void forget(struct dev *d)
{
        for (int i = 0; i < d->num_pending; i++)
                clReleaseEvent(d->pending[i].event);
        d->num_pending = 0;
}

int pending_check(struct dev *d, struct err *e)
{
        int rc = 0;
        for (int i = 0; i < d->num_pending && rc == 0; i++) {
                const struct pending *p = &d->pending[i];
                cl_int state = CL_COMPLETE,
                       status = clGetEventInfo(
                               p->event, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof state, &state, NULL);
                if (status != CL_SUCCESS)
                        rc = err_cl(e, status, "asking %s how %s ended", d->info.name, p->what);
                else if (state < 0)
                        rc = err_cl(e, state, "%s failed on %s", p->what, d->info.name);
        }
        forget(d);
        return rc;
}

int pending_add(struct dev *d, cl_event event, const char *what, struct err *e)
{
        d->pending[d->num_pending++] = (struct pending){event, what};
        return d->num_pending < PENDING_MAX ? 0 : dev_finish(d, e);
}
