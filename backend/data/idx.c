#include "data/idx.h"
#include "data/dataset.h"
#include "data/packed.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

enum { CHUNK = 1 << 24, PATH_BYTES = 1024 };

/* What zlib says of a stream that ended early or is damaged. */
static int read_failed(gzFile file, const char *path, struct err *e)
{
        int zerr = Z_OK;
        const char *text = gzerror(file, &zerr);
        if (zerr == Z_ERRNO)
                return err_errno(e, errno, "cannot read %s", path);
        if (zerr == Z_MEM_ERROR)
                return err_set(e, ERR_NO_MEMORY, "no memory to unpack %s", path);
        if (zerr == Z_OK || zerr == Z_STREAM_END || zerr == Z_BUF_ERROR)
                return err_set(e, ERR_SYNTAX, "%s ends too early", path);
        return err_set(e, ERR_SYNTAX, "%s is damaged: %s", path, text);
}

static int read_bytes(gzFile file, const char *path, unsigned char *out, size_t len, struct err *e)
{
        while (len) {
                int n = gzread(file, out, len < CHUNK ? (unsigned)len : CHUNK);
                if (n <= 0)
                        return read_failed(file, path, e);
                out += n;
                len -= (size_t)n;
        }
        return 0;
}

static uint32_t big_endian(const unsigned char *p)
{
        return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static int read_header(gzFile file, const char *path, int ndim, struct idx *x, struct err *e)
{
        unsigned char head[4 + 4 * IDX_MAX_DIMS];
        int rc = read_bytes(file, path, head, 4 + 4 * (size_t)ndim, e);
        uint64_t len = 1;
        if (rc != 0)
                return rc;
        if (head[0] != 0 || head[1] != 0)
                return err_set(e, ERR_SYNTAX, "%s is not an IDX file", path);
        if (head[2] != 8 || head[3] != ndim)
                return err_set(e, ERR_SYNTAX, "%s holds type 0x%02x in %d dimensions, wanted bytes in %d",
                        path, head[2], head[3], ndim);
        for (int i = 0; i < ndim; i++) {
                x->dims[i] = big_endian(head + 4 + 4 * i);
                if (x->dims[i] == 0)
                        return err_set(e, ERR_SYNTAX, "%s is empty: dimension %d is 0", path, i);
                /* Stays below 2^64, because it is at most 2^32 before each product. */
                len *= x->dims[i];
                if (len > IDX_MAX_BYTES)
                        return err_set(e, ERR_TOO_LARGE, "%s holds more than %llu bytes", path,
                                (unsigned long long)IDX_MAX_BYTES);
        }
        x->ndim = ndim;
        x->len = (size_t)len;
        return 0;
}

static int read_data(gzFile file, const char *path, uint64_t file_len, struct idx *x, struct err *e)
{
        unsigned char more;
        if (x->len > file_len * DEFLATE_RATIO)
                return err_set(e, ERR_SYNTAX, "%s has %llu bytes, which cannot hold the %zu of its header",
                        path, (unsigned long long)file_len, x->len);
        x->bytes = malloc(x->len);
        if (!x->bytes)
                return err_set(e, ERR_NO_MEMORY, "no memory for the %zu bytes of %s", x->len, path);
        int rc = read_bytes(file, path, x->bytes, x->len, e);
        if (rc != 0)
                return rc;
        /* Reading on to the end is what makes zlib compare the checksum, too. */
        int n = gzread(file, &more, 1);
        if (n > 0)
                return err_set(e, ERR_SYNTAX, "%s has more data than its header tells", path);
        int zerr = Z_OK;
        gzerror(file, &zerr);
        if (n < 0 || (zerr != Z_OK && zerr != Z_STREAM_END))
                return read_failed(file, path, e);
        return 0;
}

int idx_read(const char *path, int ndim, struct idx *ret, struct err *e)
{
        int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        if (fd < 0)
                return err_errno(e, errno, "cannot open %s", path);
        return idx_read_fd(fd, path, ndim, ret, e);
}

int idx_read_fd(int fd, const char *path, int ndim, struct idx *ret, struct err *e)
{
        struct stat st;
        struct idx x = {0};
        if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
                close(fd);
                return err_set(e, ERR_INVALID, "%s is not a regular file", path);
        }
        gzFile file = gzdopen(fd, "rb");
        if (!file) {
                close(fd);
                return err_set(e, ERR_NO_MEMORY, "no memory to unpack %s", path);
        }
        gzbuffer(file, 1 << 17);
        int rc = read_header(file, path, ndim, &x, e);
        if (rc == 0)
                rc = read_data(file, path, (uint64_t)st.st_size, &x, e);
        gzclose(file);
        if (rc != 0)
                idx_finish(&x);
        else
                *ret = x;
        return rc;
}

void idx_finish(struct idx *x)
{
        free(x->bytes);
        *x = (struct idx){0};
}

/* DIR/STEM or DIR/STEM.gz, whichever is there. */
static int read_one(const char *dir, const char *stem, int ndim, struct idx *ret, struct err *e)
{
        char path[PATH_BYTES];
        int n = snprintf(path, sizeof path - 3, "%s/%s", dir, stem);
        if (n < 0 || (size_t)n >= sizeof path - 3)
                return err_set(e, ERR_INVALID, "the folder's name is too long");
        if (access(path, F_OK) != 0) {
                memcpy(path + n, ".gz", 4);
                if (access(path, F_OK) != 0)
                        return err_set(e, ERR_NOT_FOUND, "%s has neither %s nor %s.gz", dir, stem, stem);
        }
        return idx_read(path, ndim, ret, e);
}

static int widen_labels(
        const struct idx *labels, int num_classes, const char *stem, int32_t **ret, struct err *e)
{
        int32_t *wide = malloc(labels->len * sizeof *wide);
        if (!wide)
                return err_set(e, ERR_NO_MEMORY, "no memory for %zu labels", labels->len);
        for (size_t i = 0; i < labels->len; i++) {
                wide[i] = labels->bytes[i];
                if (wide[i] >= num_classes) {
                        free(wide);
                        return err_set(e, ERR_INVALID, "%s: label %d of image %zu, but there are %d classes",
                                stem, labels->bytes[i], i, num_classes);
                }
        }
        *ret = wide;
        return 0;
}

static int read_split(const char *dir, const char *stem, int num_classes, struct idx *ret_images,
        int32_t **ret_labels, struct err *e)
{
        char name[64];
        struct idx images = {0}, labels = {0};
        snprintf(name, sizeof name, "%s-images-idx3-ubyte", stem);
        int rc = read_one(dir, name, 3, &images, e);
        snprintf(name, sizeof name, "%s-labels-idx1-ubyte", stem);
        if (rc == 0)
                rc = read_one(dir, name, 1, &labels, e);
        if (rc == 0 && images.dims[0] != labels.dims[0])
                rc = err_set(
                        e, ERR_INVALID, "%s: %u images, but %u labels", stem, images.dims[0], labels.dims[0]);
        if (rc == 0 && images.dims[0] > INT_MAX)
                rc = err_set(e, ERR_TOO_LARGE, "%s: %u images are too many", stem, images.dims[0]);
        if (rc == 0 && (images.dims[1] > DATASET_MAX_SIDE || images.dims[2] > DATASET_MAX_SIDE))
                rc = err_set(e, ERR_TOO_LARGE, "%s: images of %ux%u, the largest side is %d", stem,
                        images.dims[1], images.dims[2], DATASET_MAX_SIDE);
        if (rc == 0)
                rc = widen_labels(&labels, num_classes, name, ret_labels, e);
        if (rc == 0)
                *ret_images = images;
        else
                idx_finish(&images);
        idx_finish(&labels);
        return rc;
}

static int check_arguments(const char *name, int num_classes, struct err *e)
{
        if (strlen(name) > DATASET_NAME_MAX)
                return err_set(e, ERR_INVALID, "the name has %zu bytes, allowed are %d", strlen(name),
                        DATASET_NAME_MAX);
        if (num_classes < 1 || num_classes > DATASET_MAX_CLASSES)
                return err_set(
                        e, ERR_INVALID, "%d classes, allowed are 1 to %d", num_classes, DATASET_MAX_CLASSES);
        return 0;
}

static void name_source(struct dataset *d, const char *dir)
{
        snprintf(d->source, sizeof d->source, "IDX files in %.200s", dir);
}

bool idx_made(const struct dataset *d, const char *dir)
{
        struct dataset known = {0};
        name_source(&known, dir);
        return strcmp(known.source, d->source) == 0;
}

int idx_import(const char *dir, const char *name, const char *const *classes, int num_classes,
        const char *path, struct err *e)
{
        static const char *const stems[] = {[DATASET_TRAIN] = "train", [DATASET_VAL] = "t10k"};
        struct dataset d = {.c = 1, .type = DATASET_U8, .num_classes = num_classes};
        struct idx images[DATASET_SPLITS] = {0};
        int32_t *labels[DATASET_SPLITS] = {0};
        int rc = check_arguments(name, num_classes, e);
        for (int s = 0; s < DATASET_SPLITS && rc == 0; s++) {
                rc = read_split(dir, stems[s], num_classes, &images[s], &labels[s], e);
                d.split[s].count = (int)images[s].dims[0];
                d.split[s].images = images[s].bytes;
                d.split[s].labels = labels[s];
        }
        if (rc == 0 && (images[0].dims[1] != images[1].dims[1] || images[0].dims[2] != images[1].dims[2]))
                rc = err_set(e, ERR_INVALID, "train images are %ux%u, t10k images %ux%u", images[0].dims[1],
                        images[0].dims[2], images[1].dims[1], images[1].dims[2]);
        if (rc == 0) {
                snprintf(d.name, sizeof d.name, "%s", name);
                name_source(&d, dir);
                d.h = (int)images[0].dims[1];
                d.w = (int)images[0].dims[2];
                d.classes = (char **)(uintptr_t)classes; /* borrowed: dataset_write only reads */
                rc = dataset_write(&d, path, e);
        }
        for (int s = 0; s < DATASET_SPLITS; s++) {
                idx_finish(&images[s]);
                free(labels[s]);
        }
        return rc;
}
