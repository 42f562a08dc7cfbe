#include "lossy.h"

#include <limits.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SECTOR = 512 };

struct bytes {
        unsigned char *data;
        size_t size;
};

/* A write; without data the file was cut at `offset`. */
struct change {
        size_t offset, size;
        unsigned char *data;
};

struct content {
        char *path;
        bool log;
        struct bytes synced;
        struct change *changes;
        int count;
        struct content *next;
};

struct lossy_file {
        sqlite3_file base;
        sqlite3_file *real;
        struct content *content; /* NULL: not watched */
};

static struct {
        sqlite3_vfs vfs, *real;
        const char *dir;
        struct content *contents;
        void (*hook)(void *ctx);
        void *ctx;
        enum lossy_fault fault;
        int database_syncs, taken_locks;
} lossy;

static void *need(void *memory)
{
        if (!memory)
                abort();
        return memory;
}

static void put(struct bytes *b, size_t offset, const unsigned char *data, size_t size)
{
        if (offset + size > b->size) {
                b->data = need(realloc(b->data, offset + size));
                memset(b->data + b->size, 0, offset + size - b->size);
                b->size = offset + size;
        }
        memcpy(b->data + offset, data, size);
}

static void cut(struct bytes *b, size_t size)
{
        if (size < b->size)
                b->size = size;
}

static void forget_changes(struct content *c)
{
        for (int i = 0; i < c->count; i++)
                free(c->changes[i].data);
        free(c->changes);
        c->changes = NULL;
        c->count = 0;
}

static void note(struct content *c, size_t offset, const void *data, size_t size)
{
        struct change change = {offset, size, NULL};
        if (data) {
                change.data = need(malloc(size));
                memcpy(change.data, data, size);
        }
        c->changes = need(realloc(c->changes, (size_t)(c->count + 1) * sizeof *c->changes));
        c->changes[c->count++] = change;
}

static struct content *content_of(const char *path)
{
        if (!path || !lossy.dir || strncmp(path, lossy.dir, strlen(lossy.dir)) != 0)
                return NULL;
        for (struct content *c = lossy.contents; c; c = c->next)
                if (strcmp(c->path, path) == 0)
                        return c;
        struct content *c = need(calloc(1, sizeof *c));
        const size_t length = strlen(path);
        c->path = need(strdup(path));
        c->log = length > 4 && strcmp(path + length - 4, "-wal") == 0;
        c->next = lossy.contents;
        return lossy.contents = c;
}

static sqlite3_file *real_of(sqlite3_file *f)
{
        return ((struct lossy_file *)f)->real;
}

static int close_file(sqlite3_file *f)
{
        return real_of(f)->pMethods->xClose(real_of(f));
}

static int read_file(sqlite3_file *f, void *to, int size, sqlite3_int64 offset)
{
        return real_of(f)->pMethods->xRead(real_of(f), to, size, offset);
}

static int write_file(sqlite3_file *f, const void *from, int size, sqlite3_int64 offset)
{
        struct content *c = ((struct lossy_file *)f)->content;
        int rc = real_of(f)->pMethods->xWrite(real_of(f), from, size, offset);
        if (rc == SQLITE_OK && c)
                note(c, (size_t)offset, from, (size_t)size);
        return rc;
}

static int truncate_file(sqlite3_file *f, sqlite3_int64 size)
{
        struct content *c = ((struct lossy_file *)f)->content;
        int rc = real_of(f)->pMethods->xTruncate(real_of(f), size);
        if (rc == SQLITE_OK && c)
                note(c, (size_t)size, NULL, 0);
        return rc;
}

static int sync_file(sqlite3_file *f, int flags)
{
        struct content *c = ((struct lossy_file *)f)->content;
        if (!c)
                return real_of(f)->pMethods->xSync(real_of(f), flags);
        if (lossy.hook)
                lossy.hook(lossy.ctx);
        if (lossy.fault == (c->log ? LOSSY_LOG_FAILS : LOSSY_DATABASE_FAILS))
                return SQLITE_IOERR_FSYNC;
        lossy.database_syncs += !c->log;
        for (int i = 0; i < c->count; i++)
                if (c->changes[i].data)
                        put(&c->synced, c->changes[i].offset, c->changes[i].data, c->changes[i].size);
                else
                        cut(&c->synced, c->changes[i].offset);
        forget_changes(c);
        return SQLITE_OK;
}

static int size_of_file(sqlite3_file *f, sqlite3_int64 *ret)
{
        return real_of(f)->pMethods->xFileSize(real_of(f), ret);
}

static int lock_file(sqlite3_file *f, int level)
{
        if (lossy.taken_locks > 0) {
                lossy.taken_locks--;
                return SQLITE_BUSY;
        }
        return real_of(f)->pMethods->xLock(real_of(f), level);
}

static int unlock_file(sqlite3_file *f, int level)
{
        return real_of(f)->pMethods->xUnlock(real_of(f), level);
}

static int check_lock(sqlite3_file *f, int *ret)
{
        return real_of(f)->pMethods->xCheckReservedLock(real_of(f), ret);
}

static int control_file(sqlite3_file *f, int what, void *arg)
{
        return real_of(f)->pMethods->xFileControl(real_of(f), what, arg);
}

static int sector_of_file(sqlite3_file *f)
{
        return real_of(f)->pMethods->xSectorSize(real_of(f));
}

static int traits_of_file(sqlite3_file *f)
{
        return real_of(f)->pMethods->xDeviceCharacteristics(real_of(f));
}

static int map_shared(sqlite3_file *f, int page, int size, int extend, void volatile **ret)
{
        return real_of(f)->pMethods->xShmMap(real_of(f), page, size, extend, ret);
}

static int lock_shared(sqlite3_file *f, int offset, int n, int flags)
{
        return real_of(f)->pMethods->xShmLock(real_of(f), offset, n, flags);
}

static void shared_barrier(sqlite3_file *f)
{
        real_of(f)->pMethods->xShmBarrier(real_of(f));
}

static int unmap_shared(sqlite3_file *f, int delete_it)
{
        return real_of(f)->pMethods->xShmUnmap(real_of(f), delete_it);
}

static const sqlite3_io_methods methods = {2, close_file, read_file, write_file, truncate_file, sync_file,
        size_of_file, lock_file, unlock_file, check_lock, control_file, sector_of_file, traits_of_file,
        map_shared, lock_shared, shared_barrier, unmap_shared, NULL, NULL};

static int open_file(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *ret_flags)
{
        struct lossy_file *f = (struct lossy_file *)file;
        (void)vfs;
        f->real = (sqlite3_file *)(void *)(f + 1);
        f->content = content_of(name);
        int rc = lossy.real->xOpen(lossy.real, name, f->real, flags, ret_flags);
        f->base.pMethods = rc == SQLITE_OK ? &methods : NULL;
        return rc;
}

static int delete_file(sqlite3_vfs *vfs, const char *name, int sync_dir)
{
        struct content *c = content_of(name);
        (void)vfs;
        if (c) {
                forget_changes(c);
                cut(&c->synced, 0);
        }
        return lossy.real->xDelete(lossy.real, name, sync_dir);
}

int lossy_install(void)
{
        lossy.real = sqlite3_vfs_find(NULL);
        lossy.vfs = *lossy.real;
        lossy.vfs.zName = "lossy";
        lossy.vfs.szOsFile += (int)sizeof(struct lossy_file);
        lossy.vfs.xOpen = open_file;
        lossy.vfs.xDelete = delete_file;
        return sqlite3_vfs_register(&lossy.vfs, 1);
}

void lossy_watch(const char *dir)
{
        while (lossy.contents) {
                struct content *c = lossy.contents;
                lossy.contents = c->next;
                forget_changes(c);
                free(c->synced.data);
                free(c->path);
                free(c);
        }
        lossy.dir = dir;
        lossy.database_syncs = 0;
}

void lossy_before_sync(void (*hook)(void *ctx), void *ctx)
{
        lossy.hook = hook;
        lossy.ctx = ctx;
}

void lossy_set_fault(enum lossy_fault fault)
{
        lossy.fault = fault;
}

void lossy_take_locks(int count)
{
        lossy.taken_locks = count;
}

int lossy_database_syncs(void)
{
        return lossy.database_syncs;
}

static bool happens(unsigned *seed)
{
        return rand_r(seed) & 64;
}

static void tear(struct bytes *b, const struct change *c, unsigned *seed)
{
        for (size_t at = 0; at < c->size;) {
                size_t part = SECTOR - (c->offset + at) % SECTOR;
                if (part > c->size - at)
                        part = c->size - at;
                if (happens(seed))
                        put(b, c->offset + at, c->data + at, part);
                at += part;
        }
}

static int save(const struct bytes *b, const char *dir, const char *path)
{
        char to[PATH_MAX];
        if (b->size == 0)
                return 0;
        snprintf(to, sizeof to, "%s/%s", dir, strrchr(path, '/') + 1);
        FILE *f = fopen(to, "wb");
        if (!f)
                return -1;
        size_t written = fwrite(b->data, 1, b->size, f);
        return fclose(f) == 0 && written == b->size ? 0 : -1;
}

int lossy_image(const char *dir, unsigned seed)
{
        int rc = 0;
        for (struct content *c = lossy.contents; c && rc == 0; c = c->next) {
                struct bytes b = {0};
                if (c->synced.size)
                        put(&b, 0, c->synced.data, c->synced.size);
                for (int i = 0; i < c->count; i++)
                        if (c->changes[i].data)
                                tear(&b, &c->changes[i], &seed);
                        else if (happens(&seed))
                                cut(&b, c->changes[i].offset);
                rc = save(&b, dir, c->path);
                free(b.data);
        }
        return rc;
}
