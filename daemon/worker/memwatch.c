#include "daemon/worker/memwatch.h"

#include "base/clock.h"
#include "device/vram.h"

#include <pthread.h>
#include <time.h>

enum { INTERVAL_MS = 1000, GOOD_FOR_MS = 5 * INTERVAL_MS };

static void *watch(void *ctx)
{
        struct memwatch *w = ctx;
        uint64_t bytes;
        struct vram *v = vram_open(w->dev);
        while (v) {
                if (vram_free(v, &bytes)) {
                        atomic_store(&w->free_bytes, bytes);
                        atomic_store(&w->told_ms, clock_now_ms());
                }
                nanosleep(&(struct timespec){.tv_sec = INTERVAL_MS / 1000}, NULL);
        }
        return NULL;
}

int memwatch_start(struct memwatch *w, struct dev *d, struct err *e)
{
        pthread_t thread;
        w->dev = d;
        const int errnum = pthread_create(&thread, NULL, watch, w);
        if (errnum)
                return err_errno(e, errnum, "the thread that watches the device's memory");
        pthread_detach(thread);
        return 0;
}

bool memwatch_free(struct memwatch *w, uint64_t *ret)
{
        const int64_t told_ms = atomic_load(&w->told_ms);
        *ret = atomic_load(&w->free_bytes);
        return told_ms && clock_now_ms() - told_ms < GOOD_FOR_MS;
}
