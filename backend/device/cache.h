/* Compiled programs on disk.

   A file is named after its key (source, options, device, driver, platform version) and holds: 8 bytes magic
   with CACHE_VERSION, the key, the length and a checksum of the binary, the binary. It is written to a
   temporary name and renamed; anything that does not fit is treated as absent, so a truncated, empty or
   foreign file costs a rebuild and nothing else. Raise CACHE_VERSION when this layout changes. */
#ifndef CNND_CACHE_H
#define CNND_CACHE_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

enum { CACHE_VERSION = 1 };

struct cache_key {
        uint64_t hash[2];
};
/* Mixes `count` strings, their borders included. */
struct cache_key cache_key_of(const char *const *parts, int count);

/* The binary of `key`, malloc'ed, or NULL when `dir` has none that is whole. */
void *cache_load(const char *dir, const struct cache_key *key, size_t *ret_len);
/* Makes `dir` where needed. */
int cache_store(const char *dir, const struct cache_key *key, const void *binary, size_t len, struct err *e);
/* Removes the entry: the driver refused it. */
void cache_drop(const char *dir, const struct cache_key *key);

#endif
