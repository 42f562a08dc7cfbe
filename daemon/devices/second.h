/* A second process for a device whose driver is slow. It compiles beside a worker that starts with an empty
   cache (role `compiler`), or stores what a worker has compiled (role `keeper`). One at a time; nobody waits
   for it, and nothing is lost if it fails. One thread. */
#ifndef CNND_SECOND_H
#define CNND_SECOND_H

#include "daemon/devices/supervisor.h"

struct second {
        struct child *child; /* mostly NULL */
        bool keeps;          /* it is a keeper */
        cJSON *unkept;       /* owned; programs for the next keeper, NULL for none */
};

struct device;

/* Where the driver of a CPU device has nothing compiled: PoCL compiles one kernel at a time in a process,
   whatever its threads ask for, and a start has some seconds of them. */
void second_compile(struct device *d);
/* `programs`, an array of the worker's message "unkept", is taken; they are kept as soon as the process there
   is now has ended. */
void second_keep(struct device *d, cJSON *programs);
/* The worker is gone: what there is ends soon. */
void second_close(struct device *d);
void second_finish(struct device *d);

#endif
