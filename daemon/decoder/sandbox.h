/* A process that has read bytes from outside and may have been taken over by them: what it can still do.

   After sandbox_enter it computes, answers on the descriptors it has, and works on files of one folder. A
   system call beyond that kills the process (SIGSYS); opening a file elsewhere fails. It starts no process,
   makes no socket, maps no memory executable. Linux's own limits hold it as well: memory, processor time,
   descriptors, no core. */
#ifndef CNND_SANDBOX_H
#define CNND_SANDBOX_H

#include "base/err.h"

#include <stdint.h>

struct sandbox_options {
        const char *folder;    /* whose files it may read, make, replace and remove; NULL for none */
        uint64_t memory_bytes; /* of address space, and of one file; 0: no limit */
};

/* Cannot be undone. ERR_UNAVAILABLE where any of it is refused: nothing may be read then. A kernel without
   Landlock (before 5.13, or with it switched off) guards files by their permissions alone, which is logged.
   Under sanitizers, which need more calls and files, only the other limits are set.
 */
int sandbox_enter(const struct sandbox_options *o, struct err *e);
/* Processor seconds that the process may take from now on. */
int sandbox_allow_cpu(int seconds, struct err *e);

#endif
