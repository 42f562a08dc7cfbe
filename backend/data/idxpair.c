#include "data/idxpair.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const struct {
        const char *prefix, *stem, *array;
        int ndim;
} places[IDXPAIR_ARRAYS] = {
        {"train-", "images-idx3-ubyte", "x_train", 3},
        {"train-", "labels-idx1-ubyte", "y_train", 1},
        {"t10k-", "images-idx3-ubyte", "x_test", 3},
        {"t10k-", "labels-idx1-ubyte", "y_test", 1},
};

static int place_of(const char *name)
{
        char plain[40];
        size_t len = strlen(name);
        if (len > 3 && strcmp(name + len - 3, ".gz") == 0)
                len -= 3;
        for (int i = 0; i < IDXPAIR_ARRAYS; i++) {
                snprintf(plain, sizeof plain, "%s%s", places[i].prefix, places[i].stem);
                if (strlen(plain) == len && memcmp(plain, name, len) == 0)
                        return i;
                snprintf(plain, sizeof plain, "test-%s", places[i].stem);
                if (i > 1 && strlen(plain) == len && memcmp(plain, name, len) == 0)
                        return i;
        }
        return -1;
}

bool idxpair_is_name(const char *name)
{
        return place_of(name) >= 0;
}

int idxpair_take(struct idxpair *p, const char *tmp_dir, const char *name, const void *bytes, size_t len,
        struct err *e)
{
        int i = place_of(name), fd = open(tmp_dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
        if (fd < 0)
                return err_errno(e, errno, "unpacking %s", name);
        int rc = 0;
        if (p->files[i].bytes)
                rc = err_set(e, ERR_INVALID, "%s is in the archive twice", name);
        else if (!file_put(fd, bytes, len))
                rc = err_errno(e, errno, "unpacking");
        if (rc == 0 && lseek(fd, 0, SEEK_SET) != 0)
                rc = err_errno(e, errno, "unpacking %s", name);
        if (rc == 0)
                return idx_read_fd(fd, name, places[i].ndim, &p->files[i], e);
        close(fd);
        return rc;
}

bool idxpair_any(const struct idxpair *p)
{
        for (int i = 0; i < IDXPAIR_ARRAYS; i++)
                if (p->files[i].bytes)
                        return true;
        return false;
}

int idxpair_arrays(
        const struct idxpair *p, struct import_array ret[IDXPAIR_ARRAYS], int *ret_count, struct err *e)
{
        int n = 0;
        if (!p->files[0].bytes || !p->files[1].bytes)
                return err_set(e, ERR_INVALID, "%s%s is missing", places[0].prefix,
                        places[p->files[0].bytes ? 1 : 0].stem);
        for (int i = 0; i < IDXPAIR_ARRAYS; i++) {
                const struct idx *x = &p->files[i];
                if (!x->bytes)
                        continue;
                struct import_array a = {
                        .name = places[i].array, .kind = 'u', .size = 1, .ndim = x->ndim, .data = x->bytes};
                for (int k = 0; k < x->ndim; k++)
                        a.dims[k] = x->dims[k];
                ret[n++] = a;
        }
        *ret_count = n;
        return 0;
}

void idxpair_finish(struct idxpair *p)
{
        for (int i = 0; i < IDXPAIR_ARRAYS; i++)
                idx_finish(&p->files[i]);
}
