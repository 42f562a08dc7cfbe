/* IDX files out of an archive: images and labels of train and test by their names. */
#ifndef CNND_IDXPAIR_H
#define CNND_IDXPAIR_H

#include "data/idx.h"
#include "data/import.h"

enum { IDXPAIR_ARRAYS = 4 };

/* All zero is empty. */
struct idxpair {
        struct idx files[IDXPAIR_ARRAYS]; /* owned */
};

/* "train-images-idx3-ubyte", "…-labels-idx1-ubyte", "t10k-…" or "test-…", each perhaps with ".gz". */
bool idxpair_is_name(const char *name);
/* Unpacks it by way of a file without a name in `tmp_dir`. */
int idxpair_take(struct idxpair *p, const char *tmp_dir, const char *name, const void *bytes, size_t len,
        struct err *e);
bool idxpair_any(const struct idxpair *p);
/* Borrowed views named x_train, y_train, x_test, y_test. */
int idxpair_arrays(
        const struct idxpair *p, struct import_array ret[IDXPAIR_ARRAYS], int *ret_count, struct err *e);
void idxpair_finish(struct idxpair *p);

#endif
