/* What the two halves of the engine without a device share: fake_engine.c, fake_device.c. */
#ifndef CNND_FAKE_DEVICE_H
#define CNND_FAKE_DEVICE_H

#include "device/buf.h"

#include <stdint.h>
#include <stdlib.h>

/* Device memory is the host's. */
struct buf {
        unsigned char *bytes;
};

/* The folder of the data set "machine", "" where it is not installed. */
extern char fake_known_dir[200];

static inline int64_t env_int(const char *name, int64_t absent)
{
        const char *text = getenv(name);
        return text ? strtoll(text, NULL, 10) : absent;
}

#endif
