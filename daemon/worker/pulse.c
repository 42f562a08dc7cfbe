#include "daemon/worker/pulse.h"

void pulse_moved(struct pulse *p, const struct dev *d)
{
        atomic_fetch_add(&p->progress, 1);
        if (d)
                atomic_store(&p->device_bytes, dev_bytes(d));
}

static void note_build(void *ctx, bool begins)
{
        struct pulse *p = ctx;
        atomic_store(&p->compiling, begins);
        pulse_moved(p, NULL);
}

int pulse_watch(struct pulse *p, struct dev *d, struct err *e)
{
        dev_watch_builds(d, note_build, p);
        return memwatch_start(&p->memory, d, e);
}

void pulse_read(struct pulse *p, struct engine_pulse *ret)
{
        *ret = (struct engine_pulse){.progress = atomic_load(&p->progress),
                .device_bytes = atomic_load(&p->device_bytes),
                .busy = atomic_load(&p->busy),
                .compiling = atomic_load(&p->compiling)};
        ret->tells_free = memwatch_free(&p->memory, &ret->free_bytes);
}
