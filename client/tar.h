/* A folder as a tar archive (POSIX ustar, and pax where names are long) that is made while it is read:
   nothing but names is kept in memory. */
#ifndef CNND_TAR_H
#define CNND_TAR_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

struct tar;

/* Lists the regular files below `folder`, and the folders in which there are none, sorted by name; what has a
   name that begins with a dot is left out. ERR_NOT_FOUND, ERR_DENIED, ERR_INVALID for an empty folder. */
int tar_create(const char *folder, struct tar **ret, struct err *e);
/* NULL accepted. */
void tar_destroy(struct tar *t);
/* Of its entries, in their order; an entry is a file, or a folder without one. */
size_t tar_count(const struct tar *t);
/* Of the folder that it was made of, and below it; NULL for one that is a folder itself. */
const char *tar_file(const struct tar *t, size_t entry);
/* From here on the archive holds entries from `from` on alone, and is read from its beginning: at most `most`
   of them, and few enough for `bytes`, but at least one. Returns the entry behind them. */
size_t tar_choose(struct tar *t, size_t from, size_t most, uint64_t bytes);
/* Bytes of the whole archive. */
uint64_t tar_size(const struct tar *t);
/* The next bytes; their number, 0 at the end. ERR_STATE when a file changed its size since it was listed. */
int64_t tar_read(struct tar *t, void *bytes, size_t len, struct err *e);

#endif
