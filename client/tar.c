#include "client/tar.h"
#include "base/str.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BLOCK = 512, NAME_MAX_BYTES = 100, PREFIX_MAX_BYTES = 155, DEPTH_MAX = 32 };
/* What eleven octal digits hold. */
#define FILE_MAX ((uint64_t)1 << 33)

struct entry {
        char *name; /* owned; below the folder */
        uint64_t size;
        int64_t mtime;
};

struct tar {
        char *folder; /* owned */
        struct entry *entries;
        size_t count, cap;
        uint64_t size;
        /* reading */
        size_t at;      /* the entry whose header comes next */
        int fd;         /* of the entry before, -1 where none is open */
        uint64_t left;  /* bytes of it to come */
        size_t padding; /* zeros to come after it */
        unsigned char header[BLOCK];
        size_t header_left;
        bool ended;
};

static int add_entry(struct tar *t, const char *name, const struct stat *st, struct err *e)
{
        if ((uint64_t)st->st_size >= FILE_MAX)
                return err_set(e, ERR_TOO_LARGE, "%s/%s is larger than 8 GiB", t->folder, name);
        if (t->count == t->cap) {
                size_t cap = t->cap ? t->cap * 2 : 256;
                struct entry *entries = realloc(t->entries, cap * sizeof *entries);
                if (!entries)
                        return err_set(e, ERR_NO_MEMORY, "no memory to list %s", t->folder);
                t->entries = entries;
                t->cap = cap;
        }
        char *copy = strdup(name);
        if (!copy)
                return err_set(e, ERR_NO_MEMORY, "no memory to list %s", t->folder);
        t->entries[t->count++] = (struct entry){copy, (uint64_t)st->st_size, st->st_mtime};
        return 0;
}

static int list_folder(struct tar *t, const char *below, int depth, struct err *e);

static int list_one(struct tar *t, const char *name, int depth, struct err *e)
{
        struct stat st;
        struct str path = {0};
        str_addf(&path, "%s/%s", t->folder, name);
        int rc = 0;
        if (path.failed)
                rc = err_set(e, ERR_NO_MEMORY, "no memory to list %s", t->folder);
        else if (stat(path.data, &st) != 0)
                rc = err_errno(e, errno, "cannot look at %s", path.data);
        else if (S_ISDIR(st.st_mode))
                rc = list_folder(t, name, depth + 1, e);
        else if (S_ISREG(st.st_mode))
                rc = add_entry(t, name, &st, e);
        str_free(&path);
        return rc;
}

static int list_folder(struct tar *t, const char *below, int depth, struct err *e)
{
        struct str path = {0};
        str_addf(&path, "%s%s%s", t->folder, below[0] ? "/" : "", below);
        DIR *dir = path.failed || depth > DEPTH_MAX ? NULL : opendir(path.data);
        int rc = 0;
        if (!dir)
                rc = depth > DEPTH_MAX ? err_set(e, ERR_INVALID, "%s nests too deep", t->folder)
                                       : err_errno(e, errno, "cannot read the folder %s", t->folder);
        for (struct dirent *d; rc == 0 && (d = readdir(dir)) != NULL;) {
                struct str name = {0};
                if (d->d_name[0] == '.')
                        continue;
                str_addf(&name, "%s%s%s", below, below[0] ? "/" : "", d->d_name);
                rc = name.failed ? err_set(e, ERR_NO_MEMORY, "no memory to list %s", t->folder)
                                 : list_one(t, name.data, depth, e);
                str_free(&name);
        }
        if (dir)
                closedir(dir);
        str_free(&path);
        return rc;
}

/* Where to cut a name into prefix and name; 0 where it fits whole, -1 where it fits in no way. */
static int split_at(const char *name)
{
        size_t len = strlen(name);
        if (len <= NAME_MAX_BYTES)
                return 0;
        for (size_t i = len; i-- > 1;)
                if (name[i] == '/' && len - i - 1 <= NAME_MAX_BYTES && i <= PREFIX_MAX_BYTES)
                        return (int)i;
        return -1;
}

static int by_name(const void *a, const void *b)
{
        return strcmp(((const struct entry *)a)->name, ((const struct entry *)b)->name);
}

int tar_create(const char *folder, struct tar **ret, struct err *e)
{
        struct tar *t = calloc(1, sizeof *t);
        if (!t)
                return err_set(e, ERR_NO_MEMORY, "no memory to list %s", folder);
        t->fd = -1;
        t->folder = strdup(folder);
        int rc = t->folder ? list_folder(t, "", 0, e)
                           : err_set(e, ERR_NO_MEMORY, "no memory to list %s", folder);
        if (rc == 0 && t->count == 0)
                rc = err_set(e, ERR_INVALID, "there are no files in %s", folder);
        t->size = 2 * BLOCK;
        for (size_t i = 0; rc == 0 && i < t->count; i++) {
                if (split_at(t->entries[i].name) < 0)
                        rc = err_set(e, ERR_INVALID, "the name %s is too long for a tar archive",
                                t->entries[i].name);
                t->size += BLOCK + (t->entries[i].size + BLOCK - 1) / BLOCK * BLOCK;
        }
        if (rc != 0) {
                tar_destroy(t);
                return rc;
        }
        qsort(t->entries, t->count, sizeof *t->entries, by_name);
        *ret = t;
        return 0;
}

void tar_destroy(struct tar *t)
{
        if (!t)
                return;
        for (size_t i = 0; i < t->count; i++)
                free(t->entries[i].name);
        if (t->fd >= 0)
                close(t->fd);
        free(t->entries);
        free(t->folder);
        free(t);
}

uint64_t tar_size(const struct tar *t)
{
        return t->size;
}

/* The fields of ustar by their offsets (POSIX.1-2017, pax, "ustar Interchange Format"). */
static void make_header(unsigned char *h, const struct entry *en)
{
        char *p = (char *)h;
        int cut = split_at(en->name);
        unsigned sum = 0;
        memset(h, 0, BLOCK);
        memcpy(p, en->name + (cut ? cut + 1 : 0), strlen(en->name + (cut ? cut + 1 : 0)));
        memcpy(p + 345, en->name, (size_t)cut);
        snprintf(p + 100, 8, "0000644");
        snprintf(p + 108, 8, "0000000");
        snprintf(p + 116, 8, "0000000");
        snprintf(p + 124, 12, "%011llo", (unsigned long long)en->size);
        snprintf(p + 136, 12, "%011llo",
                (unsigned long long)(en->mtime > 0 ? en->mtime : 0) & 077777777777ull);
        memset(p + 148, ' ', 8);
        p[156] = '0';
        memcpy(p + 257, "ustar", 6);
        memcpy(p + 263, "00", 2);
        for (int i = 0; i < BLOCK; i++)
                sum += h[i];
        snprintf(p + 148, 7, "%06o", sum);
}

static int next_entry(struct tar *t, struct err *e)
{
        struct stat st;
        struct str path = {0};
        if (t->fd >= 0)
                close(t->fd);
        t->fd = -1;
        if (t->at == t->count) {
                t->padding = t->ended ? 0 : 2 * BLOCK;
                t->ended = true;
                return 0;
        }
        const struct entry *en = &t->entries[t->at++];
        str_addf(&path, "%s/%s", t->folder, en->name);
        if (!path.failed)
                t->fd = open(path.data, O_RDONLY | O_CLOEXEC);
        str_free(&path);
        if (t->fd < 0 || fstat(t->fd, &st) != 0)
                return err_errno(e, errno, "cannot open %s/%s", t->folder, en->name);
        if ((uint64_t)st.st_size != en->size)
                return err_set(e, ERR_STATE, "%s/%s changed while it was sent", t->folder, en->name);
        make_header(t->header, en);
        t->header_left = BLOCK;
        t->left = en->size;
        t->padding = (size_t)((BLOCK - en->size % BLOCK) % BLOCK);
        return 0;
}

int64_t tar_read(struct tar *t, void *bytes, size_t len, struct err *e)
{
        if (!t->header_left && !t->left && !t->padding) {
                int rc = next_entry(t, e);
                if (rc != 0)
                        return rc;
        }
        if (t->header_left) {
                size_t n = len < t->header_left ? len : t->header_left;
                memcpy(bytes, t->header + BLOCK - t->header_left, n);
                t->header_left -= n;
                return (int64_t)n;
        }
        if (t->left) {
                ssize_t n = read(t->fd, bytes, len < t->left ? len : (size_t)t->left);
                if (n < 0)
                        return err_errno(
                                e, errno, "cannot read %s/%s", t->folder, t->entries[t->at - 1].name);
                if (n == 0)
                        return err_set(e, ERR_STATE, "%s/%s changed while it was sent", t->folder,
                                t->entries[t->at - 1].name);
                t->left -= (uint64_t)n;
                return n;
        }
        size_t n = len < t->padding ? len : t->padding;
        memset(bytes, 0, n);
        t->padding -= n;
        return (int64_t)n;
}
