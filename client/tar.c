#include "client/tar.h"
#include "base/str.h"
#include "client/path.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
        size_t at;              /* the entry whose header comes next */
        struct path_file *file; /* owned, of the entry before; NULL where none is open */
        uint64_t left;          /* bytes of it to come */
        size_t padding;         /* zeros to come after it */
        unsigned char header[BLOCK];
        size_t header_left;
        bool ended;
};

static int add_entry(struct tar *t, const char *name, const struct path_info *info, struct err *e)
{
        if (info->size >= FILE_MAX)
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
        t->entries[t->count++] = (struct entry){copy, info->size, info->mtime};
        return 0;
}

/* A folder being listed. */
struct listing {
        struct tar *tar;
        const char *below; /* its name below the tar's folder, "" for that itself */
        int depth;
};

static int list_folder(struct tar *t, const char *below, int depth, struct err *e);

static int list_one(void *data, const char *own_name, struct err *e)
{
        const struct listing *l = data;
        struct path_info info;
        struct str name = {0}, path = {0};
        str_addf(&name, "%s%s%s", l->below, l->below[0] ? "/" : "", own_name);
        str_addf(&path, "%s/%s", l->tar->folder, name.data ? name.data : "");
        int rc = name.failed || path.failed
                         ? err_set(e, ERR_NO_MEMORY, "no memory to list %s", l->tar->folder)
                         : path_look(path.data, &info, e);
        if (rc == 0 && info.folder)
                rc = list_folder(l->tar, name.data, l->depth + 1, e);
        else if (rc == 0 && info.regular)
                rc = add_entry(l->tar, name.data, &info, e);
        str_free(&name);
        str_free(&path);
        return rc;
}

static int list_folder(struct tar *t, const char *below, int depth, struct err *e)
{
        struct listing l = {t, below, depth};
        struct str path = {0};
        str_addf(&path, "%s%s%s", t->folder, below[0] ? "/" : "", below);
        int rc = depth > DEPTH_MAX ? err_set(e, ERR_INVALID, "%s nests too deep", t->folder)
                 : path.failed     ? err_set(e, ERR_NO_MEMORY, "no memory to list %s", t->folder)
                                   : path_list(path.data, list_one, &l, e);
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
        path_close(t->file);
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
        struct path_info info;
        struct str path = {0};
        path_close(t->file);
        t->file = NULL;
        if (t->at == t->count) {
                t->padding = t->ended ? 0 : 2 * BLOCK;
                t->ended = true;
                return 0;
        }
        const struct entry *en = &t->entries[t->at++];
        str_addf(&path, "%s/%s", t->folder, en->name);
        int rc = path.failed ? err_set(e, ERR_NO_MEMORY, "no memory to read %s", t->folder)
                             : path_open(path.data, &t->file, &info, e);
        str_free(&path);
        if (rc != 0)
                return rc;
        if (info.size != en->size)
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
                int64_t n = path_read(t->file, bytes, len < t->left ? len : (size_t)t->left, e);
                if (n < 0)
                        return n;
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
