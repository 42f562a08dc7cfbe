/* A compiled program's file: what is stored comes back, and a file that somebody changed does not. */
#include "fuzz.h"

#include "device/cache.h"

#include <stdbool.h>
#include <string.h>
#include <unistd.h>

static void path_of(const struct cache_key *key, char path[300])
{
        snprintf(path, 300, "%s/%016llx%016llx.bin", fuzz_dir(), (unsigned long long)key->hash[0],
                (unsigned long long)key->hash[1]);
}

/* The input is a binary that is stored, or, with 'x' before it, a whole file. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
        static const char *const parts[] = {"source", "options", "device"};
        const struct cache_key key = cache_key_of(parts, 3);
        char path[300];
        size_t got = 0;
        struct err e = {0};
        bool whole = len && bytes[0] == 'x';
        path_of(&key, path);
        if (whole)
                fuzz_write(path, bytes + 1, len - 1);
        else
                FUZZ_CHECK(cache_store(fuzz_dir(), &key, bytes, len, &e) == 0);
        FUZZ_CHECK(access(path, R_OK) == 0);
        void *binary = cache_load(fuzz_dir(), &key, &got);
        if (whole)
                FUZZ_CHECK(!binary || (got > 0 && got < len));
        else
                FUZZ_CHECK(len ? binary && got == len && memcmp(binary, bytes, len) == 0 : !binary);
        free(binary);
        cache_drop(fuzz_dir(), &key);
        return 0;
}
