#include "daemon/worker/starved.h"

#include "base/clock.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>

/* A thread may end meanwhile. */
static void add_thread(const char *thread, uint64_t *ran_ns, uint64_t *waited_ns)
{
        char path[300];
        uint64_t ran, waited;
        snprintf(path, sizeof path, "/proc/self/task/%s/schedstat", thread);
        FILE *f = fopen(path, "re");
        if (!f)
                return;
        if (fscanf(f, "%" SCNu64 " %" SCNu64, &ran, &waited) == 2) {
                *ran_ns += ran;
                *waited_ns += waited;
        }
        fclose(f);
}

int64_t starved_ms(struct starved *s)
{
        struct starved now = {.looked_ms = clock_now_ms()};
        DIR *tasks = opendir("/proc/self/task");
        if (!tasks)
                return 0;
        for (const struct dirent *d; (d = readdir(tasks)) != NULL;)
                if (d->d_name[0] != '.')
                        add_thread(d->d_name, &now.ran_ns, &now.waited_ns);
        closedir(tasks);
        const struct starved last = *s;
        *s = now;
        /* Less than before, where a thread has ended: nobody knows. */
        if (last.looked_ms == 0 || now.waited_ns <= last.waited_ns || now.ran_ns < last.ran_ns)
                return 0;
        const double waited = (double)(now.waited_ns - last.waited_ns) / 1e6;
        const double ran = (double)(now.ran_ns - last.ran_ns) / 1e6;
        const double share = (double)(now.looked_ms - last.looked_ms) * waited / (waited + ran);
        return (int64_t)(waited < share ? waited : share);
}
