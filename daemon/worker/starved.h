/* How much of the time the threads of this process wanted a processor and had none: to whoever waits for
   them, a compiler on a crowded machine looks like a driver that hangs. */
#ifndef CNND_STARVED_H
#define CNND_STARVED_H

#include <stdint.h>

/* All zero before the first look. */
struct starved {
        uint64_t ran_ns, waited_ns; /* of all threads since they began */
        int64_t looked_ms;
};

/* Milliseconds since the last look, at most all of them, that went by while threads waited for a processor:
   their wait, and no more of the time than waiting was of what they ran and waited. 0 at the first look, and
   where the kernel does not tell (/proc/self/task/N/schedstat). */
int64_t starved_ms(struct starved *s);

#endif
