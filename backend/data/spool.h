/* A file without a name that grows by records and is then read as memory: what does not fit into memory lies
   on the disk, and whatever ends the process takes it along. */
#ifndef CNND_SPOOL_H
#define CNND_SPOOL_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

struct spool {
        int fd;
        uint64_t len, limit;   /* bytes */
        unsigned char *buffer; /* owned; what is not written yet */
        size_t held;
        void *map; /* owned; after spool_map */
};

/* In the folder `dir`. ERR_TOO_LARGE once it passes `limit` bytes. */
int spool_open(struct spool *s, const char *dir, uint64_t limit, struct err *e);
/* Also of one that was never opened, if fd is -1. */
void spool_close(struct spool *s);
int spool_add(struct spool *s, const void *bytes, size_t len, struct err *e);
/* All that was added, readable until spool_close; nothing may be added after. "" for an empty one. */
int spool_map(struct spool *s, const unsigned char **ret, struct err *e);

#endif
