/* Chunks: the indexes that list them, and what was done to their bytes. */
#include "data/hdfparts.h"

#include <stdlib.h>
#include <zlib.h>

enum { INDEX_TREE, INDEX_SINGLE, INDEX_IMPLICIT, INDEX_FIXED };

struct list {
        struct hdf *f;
        const struct hdf_set *set;
        struct hdf_chunk *chunks; /* owned */
        size_t count, cap;
};

static int damaged(struct err *e)
{
        return hdf_damaged("a data set", e);
}

static int add(struct list *l, const struct hdf_chunk *chunk, struct err *e)
{
        if (l->count == l->cap) {
                size_t cap = l->cap ? 2 * l->cap : 64;
                struct hdf_chunk *more = realloc(l->chunks, cap * sizeof *more);
                if (!more)
                        return err_set(e, ERR_NO_MEMORY, "no memory for %zu chunks", cap);
                l->chunks = more;
                l->cap = cap;
        }
        if (!span_holds(l->f->len, chunk->at, chunk->size))
                return damaged(e);
        l->chunks[l->count++] = *chunk;
        return 0;
}

/* Version 1 of the B-tree: a key before each child has the size, the mask and the offsets, the element's too.
 */
static int read_tree(struct list *l, uint64_t at, int above, struct err *e)
{
        struct hdf_cursor c = hdf_from(l->f, at);
        bool tree = hdf_take_magic(&c, "TREE") && hdf_take(&c, 1) == 1;
        int level = (int)hdf_take(&c, 1), count = (int)hdf_take(&c, 2), rc = 0;
        hdf_skip(&c, 2 * (uint64_t)l->f->offset_size);
        if (!tree || level >= above)
                return damaged(e);
        for (int i = 0; rc == 0 && i < count; i++) {
                struct hdf_chunk chunk = {.size = hdf_take(&c, 4), .mask = (uint32_t)hdf_take(&c, 4)};
                for (int k = 0; k < l->set->ndim; k++)
                        chunk.offset[k] = hdf_take(&c, 8);
                hdf_skip(&c, 8);
                chunk.at = hdf_take_address(l->f, &c);
                rc = c.bad ? damaged(e) : hdf_step(l->f, e);
                if (rc == 0)
                        rc = level ? read_tree(l, chunk.at, level, e) : add(l, &chunk, e);
        }
        return rc;
}

/* The chunk `number` of the grid, in the order of rows; false past the last one. */
static bool place(const struct hdf_set *s, uint64_t number, uint64_t offset[HDF_MAX_DIMS])
{
        for (int i = s->ndim - 1; i >= 0; i--) {
                uint64_t across = s->dims[i] / s->chunk[i] + (s->dims[i] % s->chunk[i] != 0);
                if (across == 0)
                        return false;
                offset[i] = number % across * s->chunk[i];
                number /= across;
        }
        return number == 0;
}

static int read_implicit(struct list *l, struct err *e)
{
        struct hdf_chunk chunk = {.at = l->set->at, .size = l->set->chunk_bytes};
        for (uint64_t i = 0; place(l->set, i, chunk.offset); i++, chunk.at += chunk.size) {
                int rc = hdf_step(l->f, e);
                if (rc == 0)
                        rc = add(l, &chunk, e);
                if (rc != 0)
                        return rc;
        }
        return 0;
}

/* `entry` bytes: the address and, of filtered chunks, the size and the mask. */
static int take_entry(
        struct list *l, struct hdf_cursor *c, uint64_t number, int entry, bool filtered, struct err *e)
{
        const int size = entry - l->f->offset_size - 4;
        struct hdf_chunk chunk = {.at = hdf_take_address(l->f, c), .size = l->set->chunk_bytes};
        if (filtered) {
                if (size < 1 || size > 8)
                        return damaged(e);
                chunk.size = hdf_take(c, size);
                chunk.mask = (uint32_t)hdf_take(c, 4);
        }
        int rc = c->bad || !place(l->set, number, chunk.offset) ? damaged(e) : hdf_step(l->f, e);
        return rc == 0 && chunk.at != HDF_NOWHERE ? add(l, &chunk, e) : rc;
}

/* A header and one block of entries, in pages where there are many. */
static int read_fixed(struct list *l, struct err *e)
{
        struct hdf_cursor c = hdf_from(l->f, l->set->at);
        bool head = hdf_take_magic(&c, "FAHD") && hdf_take(&c, 1) == 0;
        bool filtered = hdf_take(&c, 1) == 1;
        int entry = (int)hdf_take(&c, 1), page_bits = (int)hdf_take(&c, 1), rc = 0;
        uint64_t count = hdf_take(&c, l->f->length_size), at = hdf_take_address(l->f, &c);
        if (c.bad || !head || page_bits > 32)
                return damaged(e);
        struct hdf_cursor block = hdf_from(l->f, at);
        const uint64_t page = (uint64_t)1 << page_bits;
        if (!hdf_take_magic(&block, "FADB"))
                return damaged(e);
        hdf_skip(&block, 2 + (uint64_t)l->f->offset_size);
        if (count > page)
                hdf_skip(&block, ((count + page - 1) / page + 7) / 8 + HDF_CHECKSUM_BYTES);
        for (uint64_t i = 0; rc == 0 && i < count; i++) {
                if (count > page && i && i % page == 0)
                        hdf_skip(&block, HDF_CHECKSUM_BYTES);
                rc = take_entry(l, &block, i, entry, filtered, e);
        }
        return rc;
}

int hdf_list_chunks(
        struct hdf *f, const struct hdf_set *set, struct hdf_chunk **ret, size_t *ret_count, struct err *e)
{
        enum { DEEPEST = 16 };
        struct list l = {.f = f, .set = set};
        struct hdf_chunk single = {.at = set->at, .size = set->stored, .mask = set->mask};
        int rc = 0;
        if (set->index == INDEX_SINGLE && single.size == 0)
                single.size = set->chunk_bytes;
        if (set->at == HDF_NOWHERE)
                ; /* never written */
        else if (set->index == INDEX_TREE)
                rc = read_tree(&l, set->at, DEEPEST, e);
        else if (set->index == INDEX_SINGLE)
                rc = add(&l, &single, e);
        else if (set->index == INDEX_IMPLICIT)
                rc = read_implicit(&l, e);
        else if (set->index == INDEX_FIXED)
                rc = read_fixed(&l, e);
        else
                rc = err_set(e, ERR_INVALID,
                        "chunks listed by index %d of the latest format are not read; write the file with "
                        "libver earliest",
                        set->index);
        if (rc == 0) {
                *ret = l.chunks;
                *ret_count = l.count;
        } else {
                free(l.chunks);
        }
        return rc;
}

static int inflate_chunk(
        const unsigned char *from, uint64_t len, unsigned char *to, uint64_t *len_io, struct err *e)
{
        uLongf out = (uLongf)*len_io;
        if (uncompress(to, &out, from, (uLong)len) != Z_OK)
                return err_set(e, ERR_SYNTAX, "a chunk cannot be inflated");
        *len_io = out;
        return 0;
}

/* The first bytes of all elements come first, then the second ones. */
static void unshuffle(const unsigned char *from, uint64_t len, uint32_t size, unsigned char *to)
{
        uint64_t count = len / size;
        for (uint32_t k = 0; k < size; k++)
                for (uint64_t i = 0; i < count; i++)
                        to[i * size + k] = from[k * count + i];
        memcpy(to + count * size, from + count * size, (size_t)(len - count * size));
}

/* Fletcher's sums over big-endian words of 16 bits. */
static uint32_t fletcher32(const unsigned char *p, uint64_t len)
{
        uint32_t a = 0, b = 0;
        for (uint64_t i = 0; i + 1 < len; i += 2) {
                a = (a + (uint32_t)(p[i] << 8 | p[i + 1])) % 65535;
                b = (b + a) % 65535;
        }
        if (len % 2) {
                a = (a + (uint32_t)(p[len - 1] << 8)) % 65535;
                b = (b + a) % 65535;
        }
        return b << 16 | a;
}

/* The last four bytes; 0 and 65535 are one residue. */
static int check_sum(const unsigned char *p, uint64_t *len, struct err *e)
{
        if (*len < HDF_CHECKSUM_BYTES)
                return damaged(e);
        *len -= HDF_CHECKSUM_BYTES;
        uint32_t told = (uint32_t)span_uint(p + *len, 4, false), is = fletcher32(p, *len);
        if ((told >> 16) % 65535 != is >> 16 || (told & 65535) % 65535 != (is & 65535))
                return err_set(e, ERR_SYNTAX, "a chunk's checksum is wrong");
        return 0;
}

int hdf_unfilter(const struct hdf *f, const struct hdf_set *set, const struct hdf_chunk *chunk,
        unsigned char *room[2], const unsigned char **ret, struct err *e)
{
        const uint64_t most = set->chunk_bytes + HDF_SLACK_BYTES;
        const unsigned char *p = f->bytes + chunk->at;
        uint64_t len = chunk->size;
        int at = 0, rc = 0;
        for (int i = set->filter_count - 1; rc == 0 && i >= 0; i--) {
                if (i < 32 && chunk->mask >> i & 1)
                        continue;
                if (set->filters[i] == HDF_FLETCHER32) {
                        rc = check_sum(p, &len, e);
                } else if (set->filters[i] == HDF_DEFLATE) {
                        uint64_t out = most;
                        rc = inflate_chunk(p, len, room[at], &out, e);
                        len = out;
                        p = room[at];
                        at = 1 - at;
                } else if (len > most) {
                        rc = damaged(e);
                } else {
                        unshuffle(p, len, set->bytes, room[at]);
                        p = room[at];
                        at = 1 - at;
                }
        }
        if (rc == 0 && len < set->chunk_bytes)
                rc = err_set(e, ERR_SYNTAX, "a chunk of %llu bytes where %llu are needed",
                        (unsigned long long)len, (unsigned long long)set->chunk_bytes);
        *ret = p;
        return rc;
}
