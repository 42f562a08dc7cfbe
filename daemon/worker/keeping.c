#include "daemon/worker/keeping.h"

#include "base/log.h"
#include "device/launch.h"

#include <stdlib.h>

enum { QUIET_MS = 60000, BETWEEN_MS = 100 };

void keeping_start(struct keeping *k, struct dev *d)
{
        const char *quiet_ms = getenv("CNND_TEST_QUIET_MS");
        *k = (struct keeping){.dev = d, .quiet_ms = quiet_ms ? atoi(quiet_ms) : QUIET_MS};
}

void keeping_rest(struct keeping *k)
{
        k->more = dev_info(k->dev)->slow_binaries;
        k->begun = false;
}

int keeping_wait_ms(const struct keeping *k)
{
        return !k->more ? -1 : k->begun ? BETWEEN_MS : k->quiet_ms;
}

void keeping_next(struct keeping *k)
{
        struct err e = {0};
        k->begun = true;
        if (prog_save_next(k->dev, &k->more, &e))
                log_line(LOG_WARN, "what was compiled is not kept: %s", e.message);
}
