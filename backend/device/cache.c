#include "device/cache.h"

#include <errno.h>
#include <stdbool.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_LEN = 4096 };
static const uint64_t fnv_prime = 0x100000001B3u, fnv_basis = 0xCBF29CE484222325u;

struct header {
        char magic[8];
        struct cache_key key;
        uint64_t len;
        struct cache_key sum; /* of the binary */
};

static const char magic[8] = {'c', 'n', 'n', 'd', 'b', 'i', 'n', '0' + CACHE_VERSION};

/* Two FNV-1a streams, the second over the bytes turned round: enough to tell honest files apart. */
static void mix(struct cache_key *k, const void *bytes, size_t len)
{
        const unsigned char *p = bytes;
        for (size_t i = 0; i < len; i++) {
                k->hash[0] = (k->hash[0] ^ p[i]) * fnv_prime;
                k->hash[1] = (k->hash[1] ^ p[len - 1 - i] ^ 0x5Au) * fnv_prime;
        }
}

struct cache_key cache_key_of(const char *const *parts, int count)
{
        struct cache_key k = {{fnv_basis, ~fnv_basis}};
        for (int i = 0; i < count; i++)
                mix(&k, parts[i], strlen(parts[i]) + 1);
        return k;
}

static struct cache_key sum_of(const void *binary, size_t len)
{
        struct cache_key k = {{fnv_basis, ~fnv_basis}};
        mix(&k, binary, len);
        return k;
}

static void path_of(char *out, const char *dir, const struct cache_key *key, const char *suffix)
{
        snprintf(out, PATH_LEN, "%s/%016" PRIx64 "%016" PRIx64 ".bin%s", dir, key->hash[0], key->hash[1],
                suffix);
}

void *cache_load(const char *dir, const struct cache_key *key, size_t *ret_len)
{
        char path[PATH_LEN];
        struct header h;
        struct stat st;
        void *binary = NULL;
        path_of(path, dir, key, "");
        FILE *f = fopen(path, "rb");
        if (!f)
                return NULL;
        bool whole = fstat(fileno(f), &st) == 0 && fread(&h, sizeof h, 1, f) == 1 &&
                     memcmp(h.magic, magic, sizeof magic) == 0 && memcmp(&h.key, key, sizeof *key) == 0 &&
                     h.len > 0 && h.len == (uint64_t)st.st_size - sizeof h;
        if (whole && (binary = malloc(h.len)) != NULL) {
                whole = fread(binary, 1, h.len, f) == h.len;
                struct cache_key sum = sum_of(binary, h.len);
                whole = whole && memcmp(&sum, &h.sum, sizeof sum) == 0;
        }
        fclose(f);
        if (!whole) {
                free(binary);
                return NULL;
        }
        *ret_len = (size_t)h.len;
        return binary;
}

int cache_store(const char *dir, const struct cache_key *key, const void *binary, size_t len, struct err *e)
{
        char path[PATH_LEN], temporary[PATH_LEN], suffix[32];
        struct header h = {.key = *key, .len = len, .sum = sum_of(binary, len)};
        memcpy(h.magic, magic, sizeof magic);
        snprintf(suffix, sizeof suffix, ".%ld.tmp", (long)getpid());
        path_of(path, dir, key, "");
        path_of(temporary, dir, key, suffix);
        if (mkdir(dir, 0777) != 0 && errno != EEXIST)
                return err_errno(e, errno, "kernel cache %s", dir);
        FILE *f = fopen(temporary, "wb");
        if (!f)
                return err_errno(e, errno, "kernel cache %s", temporary);
        bool ok = fwrite(&h, sizeof h, 1, f) == 1 && fwrite(binary, 1, len, f) == len;
        ok = fflush(f) == 0 && ok;
        int errnum = errno;
        if (fclose(f) != 0 && ok) {
                errnum = errno;
                ok = false;
        }
        if (ok && rename(temporary, path) != 0) {
                errnum = errno;
                ok = false;
        }
        if (!ok) {
                unlink(temporary);
                return err_errno(e, errnum, "kernel cache %s", path);
        }
        return 0;
}

void cache_drop(const char *dir, const struct cache_key *key)
{
        char path[PATH_LEN];
        path_of(path, dir, key, "");
        unlink(path);
}
