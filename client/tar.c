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
        bool folder;
};

struct tar {
        char *folder; /* owned */
        struct entry *entries;
        size_t count, cap, files; /* `files` are no folders */
        uint64_t size;
        size_t end; /* the entry behind those that it holds */
        /* reading */
        size_t at;              /* the entry whose header comes next */
        struct path_file *file; /* owned, of the entry before; NULL where none is open */
        uint64_t left;          /* bytes of it to come */
        size_t padding;         /* zeros to come after it */
        struct str head;        /* owned */
        size_t head_left;
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
        t->entries[t->count++] = (struct entry){copy, info->size, info->mtime, info->folder};
        t->files += !info->folder;
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
        const struct path_info empty = {.folder = true};
        const size_t files = t->files;
        struct str path = {0};
        str_addf(&path, "%s%s%s", t->folder, below[0] ? "/" : "", below);
        int rc = depth > DEPTH_MAX ? err_set(e, ERR_INVALID, "%s nests too deep", t->folder)
                 : path.failed     ? err_set(e, ERR_NO_MEMORY, "no memory to list %s", t->folder)
                                   : path_list(path.data, list_one, &l, e);
        str_free(&path);
        /* A class without an image: the server tells of it. */
        return rc == 0 && below[0] && t->files == files ? add_entry(t, below, &empty, e) : rc;
}

static size_t whole_blocks(uint64_t len)
{
        return (size_t)((len + BLOCK - 1) / BLOCK * BLOCK);
}

/* Where to cut a name into prefix and name; 0 where it fits whole, -1 where a pax header has to tell it. */
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

/* What a pax header holds: "LENGTH path=NAME\n", whose length counts its own digits. */
static void add_path(struct str *to, const char *name)
{
        const size_t rest = strlen(" path=\n") + strlen(name);
        size_t len = rest + 1;
        for (size_t least = 10; len >= least; least *= 10)
                len++;
        str_addf(to, "%zu path=%s\n", len, name);
}

static size_t head_bytes(const struct entry *en)
{
        struct str path = {0};
        if (split_at(en->name) >= 0)
                return BLOCK;
        add_path(&path, en->name);
        const size_t len = path.len;
        str_free(&path);
        return 2 * BLOCK + whole_blocks(len);
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
        if (rc == 0 && t->files == 0)
                rc = err_set(e, ERR_INVALID, "there are no files in %s", folder);
        if (rc != 0) {
                tar_destroy(t);
                return rc;
        }
        qsort(t->entries, t->count, sizeof *t->entries, by_name);
        tar_choose(t, 0, t->count, UINT64_MAX);
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
        str_free(&t->head);
        free(t->entries);
        free(t->folder);
        free(t);
}

size_t tar_count(const struct tar *t)
{
        return t->count;
}

const char *tar_file(const struct tar *t, size_t entry)
{
        return t->entries[entry].folder ? NULL : t->entries[entry].name;
}

size_t tar_choose(struct tar *t, size_t from, size_t most, uint64_t bytes)
{
        path_close(t->file);
        t->file = NULL;
        t->left = t->padding = t->head_left = 0;
        t->ended = false;
        t->at = t->end = from;
        t->size = 2 * BLOCK;
        while (t->end < t->count && t->end - from < most) {
                const struct entry *en = &t->entries[t->end];
                const uint64_t own = head_bytes(en) + whole_blocks(en->size);
                if (t->end > from && t->size + own > bytes)
                        break;
                t->size += own;
                t->end++;
        }
        return t->end;
}

uint64_t tar_size(const struct tar *t)
{
        return t->size;
}

/* The fields of ustar by their offsets (POSIX.1-2017, pax, "ustar Interchange Format"). */
static void add_block(
        struct str *to, const char *name, const char *prefix, char type, uint64_t size, int64_t mtime)
{
        char p[BLOCK] = {0};
        unsigned sum = 0;
        memcpy(p, name, strlen(name));
        memcpy(p + 345, prefix, strlen(prefix));
        snprintf(p + 100, 8, type == '5' ? "0000755" : "0000644");
        snprintf(p + 108, 8, "0000000");
        snprintf(p + 116, 8, "0000000");
        snprintf(p + 124, 12, "%011llo", (unsigned long long)size);
        snprintf(p + 136, 12, "%011llo", (unsigned long long)(mtime > 0 ? mtime : 0) & 077777777777ull);
        memset(p + 148, ' ', 8);
        p[156] = type;
        memcpy(p + 257, "ustar", 6);
        memcpy(p + 263, "00", 2);
        for (int i = 0; i < BLOCK; i++)
                sum += (unsigned char)p[i];
        snprintf(p + 148, 7, "%06o", sum);
        str_add_bytes(to, p, sizeof p);
}

static void add_head(struct str *to, const struct entry *en)
{
        static const char zeros[BLOCK];
        char prefix[PREFIX_MAX_BYTES + 1] = "";
        const char *name = en->name;
        const int cut = split_at(name);
        if (cut > 0) {
                snprintf(prefix, sizeof prefix, "%.*s", cut, name);
                name += cut + 1;
        } else if (cut < 0) {
                struct str path = {0};
                add_path(&path, name);
                name = "long";
                add_block(to, name, "", 'x', path.len, en->mtime);
                if (path.data)
                        str_add_bytes(to, path.data, path.len);
                str_add_bytes(to, zeros, whole_blocks(path.len) - path.len);
                to->failed |= path.failed;
                str_free(&path);
        }
        add_block(to, name, prefix, en->folder ? '5' : '0', en->size, en->mtime);
}

static int next_entry(struct tar *t, struct err *e)
{
        struct path_info info;
        struct str path = {0};
        path_close(t->file);
        t->file = NULL;
        if (t->at == t->end) {
                t->padding = t->ended ? 0 : 2 * BLOCK;
                t->ended = true;
                return 0;
        }
        const struct entry *en = &t->entries[t->at++];
        str_addf(&path, "%s/%s", t->folder, en->name);
        int rc = path.failed  ? err_set(e, ERR_NO_MEMORY, "no memory to read %s", t->folder)
                 : en->folder ? 0
                              : path_open(path.data, &t->file, &info, e);
        str_free(&path);
        if (rc != 0)
                return rc;
        if (!en->folder && info.size != en->size)
                return err_set(e, ERR_STATE, "%s/%s changed while it was sent", t->folder, en->name);
        str_clear(&t->head);
        add_head(&t->head, en);
        if (t->head.failed)
                return err_set(e, ERR_NO_MEMORY, "no memory to read %s", t->folder);
        t->head_left = t->head.len;
        t->left = en->size;
        t->padding = whole_blocks(en->size) - (size_t)en->size;
        return 0;
}

int64_t tar_read(struct tar *t, void *bytes, size_t len, struct err *e)
{
        if (!t->head_left && !t->left && !t->padding) {
                int rc = next_entry(t, e);
                if (rc != 0)
                        return rc;
        }
        if (t->head_left) {
                size_t n = len < t->head_left ? len : t->head_left;
                memcpy(bytes, t->head.data + t->head.len - t->head_left, n);
                t->head_left -= n;
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
