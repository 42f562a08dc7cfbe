/* A device to test on. */
#ifndef CNND_TEST_OPENED_H
#define CNND_TEST_OPENED_H

#include "device/dev.h"

#include <stdio.h>
#include <stdlib.h>

/* CNND_DEVICE, else the first. Without one the test ends: skipped, or failed where CNND_REQUIRE_DEVICE is
 * set. */
static inline struct dev *opened(const struct dev_options *options)
{
        const char *spec = getenv("CNND_DEVICE");
        struct dev *d = NULL;
        struct err e = {0};
        if (dev_open(spec ? spec : "all", options, &d, &e) == 0)
                return d;
        printf("%s\n", e.message);
        exit(getenv("CNND_REQUIRE_DEVICE") ? 1 : 77);
}

#endif
