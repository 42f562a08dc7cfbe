#include "base/file.h"
#include "data/dataset.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SOME = 4096, LISTED = 8 };

int dataset_file(const struct dataset *d, int *ret_fd, struct err *e)
{
        struct stat st;
        int fd = open(d->path, O_RDONLY | O_CLOEXEC), rc = 0;
        if (fd < 0 || fstat(fd, &st) != 0)
                rc = err_set(e, ERR_UNAVAILABLE, "its file cannot be opened: %s", strerror(errno));
        else if ((uint64_t)st.st_size != d->file_len)
                rc = err_set(e, ERR_UNAVAILABLE, "its file is another one");
        if (rc == 0)
                *ret_fd = fd;
        else if (fd >= 0)
                close(fd);
        return rc;
}

int dataset_labels(const struct dataset *d, enum dataset_split split, int fd, int first, int count,
        int32_t *out, struct err *e)
{
        return file_piece(fd, "its file", d->split[split].labels_at + (uint64_t)first * sizeof *out, out,
                (size_t)count * sizeof *out, e);
}

int dataset_move(struct dataset *d, const char *path, struct err *e)
{
        char *copy = strdup(path);
        if (!copy)
                return err_set(e, ERR_NO_MEMORY, "no memory for a path");
        free(d->path);
        d->path = copy;
        return 0;
}

int dataset_unread(const struct dataset *d, const struct err *why, struct err *e)
{
        if (why->code == ERR_NO_MEMORY)
                return err_set(e, ERR_NO_MEMORY, "%s", why->message);
        return err_set(e, ERR_UNAVAILABLE, "the data set '%s' cannot be read: %s", d->name, why->message);
}

static void count_some(const struct dataset *d, const int32_t *labels, int count, int64_t *counts)
{
        for (int i = 0; i < count; i++)
                if (labels[i] >= 0 && labels[i] < d->num_classes)
                        counts[labels[i]]++;
}

static int count_file(
        const struct dataset *d, enum dataset_split split, int first, int64_t *counts, struct err *e)
{
        int32_t labels[SOME];
        int fd, rc = dataset_file(d, &fd, e);
        if (rc)
                return rc;
        for (int i = 0; i < first && rc == 0; i += SOME) {
                const int n = first - i < SOME ? first - i : SOME;
                rc = dataset_labels(d, split, fd, i, n, labels, e);
                if (rc == 0)
                        count_some(d, labels, n, counts);
        }
        close(fd);
        return rc;
}

int dataset_count(
        const struct dataset *d, enum dataset_split split, int first, int64_t *counts, struct err *e)
{
        const size_t bytes = (size_t)d->num_classes * sizeof *counts;
        struct err why = {0};
        if (first == d->split[split].count) {
                memcpy(counts, d->split[split].class_counts, bytes);
                return 0;
        }
        memset(counts, 0, bytes);
        if (d->split[split].labels)
                count_some(d, d->split[split].labels, first, counts);
        else if (count_file(d, split, first, counts, &why))
                return dataset_unread(d, &why, e);
        return 0;
}

void dataset_gaps(const struct dataset *d, struct str *out)
{
        int count = 0;
        if (d->split[DATASET_TRAIN].count == 0) {
                str_add(out, "there are no images to train with: models can be scored on it");
                return;
        }
        if (d->num_classes == 1)
                str_addf(out, "\"%.60s\" is the only class: there is nothing to tell apart", d->classes[0]);
        for (int i = 0; i < d->num_classes; i++) {
                if (d->split[DATASET_TRAIN].class_counts[i])
                        continue;
                if (count++ < LISTED)
                        str_addf(out, "%s\"%.60s\"",
                                count == 1 ? "there are no images to train with of class " : ", ",
                                d->classes[i]);
        }
        if (count > LISTED)
                str_addf(out, " and %d more", count - LISTED);
}

const struct dataset_known *dataset_known_find(const char *name)
{
        for (int i = 0; i < dataset_known_count; i++)
                if (strcmp(dataset_known[i].name, name) == 0)
                        return &dataset_known[i];
        return NULL;
}
