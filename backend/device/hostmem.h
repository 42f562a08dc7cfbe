/* How much of the machine's memory this process may have: control groups (systemd's MemoryMax= and
   MemoryHigh=, a container's limit) may allow less than there is, and drivers for processors do not look. */
#ifndef CNND_HOSTMEM_H
#define CNND_HOSTMEM_H

#include <stdint.h>

/* The least limit in bytes of the groups that the file `self` (/proc/self/cgroup) names and of all above
   them, as far as they can be seen below `root` (/sys/fs/cgroup); UINT64_MAX where there is none. Versions 1
   and 2 of the interface. */
uint64_t hostmem_limit(const char *self, const char *root);

#endif
