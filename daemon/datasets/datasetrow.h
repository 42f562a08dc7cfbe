/* Rows of the table `datasets`: the owner of a data set, "" where it is everybody's, how many bytes of his it
   takes, and what its file is known by. What came with the machine has none. One thread. */
#ifndef CNND_DATASETROW_H
#define CNND_DATASETROW_H

#include "base/err.h"
#include "daemon/people/identity.h"
#include "daemon/store/mark.h"
#include "daemon/store/store.h"

#include <stdint.h>

struct datasetrow_file {
        int64_t bytes, inode, mtime_ns;
        char mark[MARK_DIGITS + 1]; /* "" in rows of older versions, until a start has read the file, and
                                       where that cannot be read */
};

/* Within the caller's transaction or alone, both. */
int datasetrow_set(
        struct store *s, const char *name, const char *user, const struct datasetrow_file *f, struct err *e);
int datasetrow_drop(struct store *s, const char *name, struct err *e);
/* 1 with the owner, 0 without a row. */
int datasetrow_find(struct store *s, const char *name, char ret_user[IDENTITY_USER_MAX + 1], struct err *e);
/* Calls `each`, which leaves the table alone, for every row; what it returns, unless that is 0, ends the
   reading and is returned. */
int datasetrow_each(struct store *s,
        int (*each)(void *ctx, const char *name, const char *user, const struct datasetrow_file *f),
        void *ctx, struct err *e);

#endif
