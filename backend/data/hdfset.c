/* Data sets: what their headers say, and their elements. */
#include "data/hdfparts.h"
#include "data/packed.h"

#include <stdlib.h>

enum { CHUNK_MAX_BYTES = 256 << 20 };

struct opening {
        struct hdf *f;
        struct hdf_set set;
        bool space, type, layout;
};

static int read_space(struct opening *o, struct hdf_cursor c, struct err *e)
{
        struct hdf_set *s = &o->set;
        if (!hdf_read_space(o->f, c, &s->ndim, s->dims))
                return hdf_damaged("a data set", e);
        if (s->ndim > HDF_MAX_DIMS)
                return err_set(e, ERR_INVALID, "%d dimensions are not an image", s->ndim);
        s->ndim = s->ndim < 0 ? 0 : s->ndim;
        o->space = true;
        return 0;
}

static int read_type(struct opening *o, struct hdf_cursor c, int flags, struct err *e)
{
        struct hdf_type type = {.size = 1};
        if (!(flags & HDF_SHARED) && !hdf_read_type(c, &type))
                return hdf_damaged("a data set", e);
        o->set.real = type.plain;
        o->set.sample = type.sample;
        o->set.bytes = type.size;
        o->type = true;
        return 0;
}

/* The sides of a chunk, of which the last is the element's size. */
static int read_sides(struct opening *o, struct hdf_cursor *c, int count, int size, struct err *e)
{
        if (count < 2 || count - 1 > HDF_MAX_DIMS)
                return err_set(e, ERR_INVALID, "chunks of %d dimensions are not an image", count - 1);
        for (int i = 0; i < count - 1; i++)
                o->set.chunk[i] = hdf_take(c, size);
        hdf_skip(c, (uint64_t)size);
        o->set.chunk_ndim = count - 1;
        return 0;
}

/* Versions 1 and 2: every kind has an address and sides, in another order. */
static int read_old_layout(struct opening *o, struct hdf_cursor c, struct err *e)
{
        struct hdf_set *s = &o->set;
        int count = (int)hdf_take(&c, 1);
        int kind = (int)hdf_take(&c, 1);
        if (kind > HDF_CHUNKED)
                return hdf_damaged("a data set", e);
        s->layout = (enum hdf_layout)kind;
        hdf_skip(&c, 5);
        if (s->layout != HDF_COMPACT)
                s->at = hdf_take_address(o->f, &c);
        if (s->layout == HDF_CHUNKED)
                return read_sides(o, &c, count, 4, e);
        hdf_skip(&c, 4 * (uint64_t)count);
        if (s->layout == HDF_COMPACT) {
                s->stored = hdf_take(&c, 4);
                s->compact = hdf_skip(&c, s->stored);
        } else {
                s->stored = UINT64_MAX; /* what its space says */
        }
        return c.bad ? hdf_damaged("a data set", e) : 0;
}

/* The kinds of index in layout version 4. */
static int read_index(struct opening *o, struct hdf_cursor *c, struct err *e)
{
        enum { SINGLE_FILTERED = 2 };
        static const unsigned char more[] = {0, 0, 0, 1, 5, 6};
        struct hdf_set *s = &o->set;
        unsigned flags = (unsigned)hdf_take(c, 1);
        int count = (int)hdf_take(c, 1), size = (int)hdf_take(c, 1);
        int rc = size >= 1 && size <= 8 ? read_sides(o, c, count, size, e) : hdf_damaged("a data set", e);
        if (rc != 0)
                return rc;
        s->index = (int)hdf_take(c, 1);
        if (s->index < 1 || s->index >= (int)sizeof more)
                return hdf_damaged("a data set", e);
        if (s->index == 1 && flags & SINGLE_FILTERED) {
                s->stored = hdf_take(c, o->f->length_size);
                s->mask = (uint32_t)hdf_take(c, 4);
        }
        hdf_skip(c, more[s->index]);
        s->at = hdf_take_address(o->f, c);
        return 0;
}

static int read_layout(struct opening *o, struct hdf_cursor c, struct err *e)
{
        struct hdf_set *s = &o->set;
        int version = (int)hdf_take(&c, 1), rc = 0;
        o->layout = true;
        if (version == 1 || version == 2)
                return read_old_layout(o, c, e);
        if (version < 3 || version > 5)
                return err_set(e, ERR_INVALID, "layout version %d is unknown", version);
        int kind = (int)hdf_take(&c, 1);
        if (kind > HDF_CHUNKED)
                return err_set(e, ERR_INVALID, "a data set made of others is not read");
        s->layout = (enum hdf_layout)kind;
        if (kind == HDF_COMPACT) {
                s->stored = hdf_take(&c, 2);
                s->compact = hdf_skip(&c, s->stored);
        } else if (kind == HDF_CONTIGUOUS) {
                s->at = hdf_take_address(o->f, &c);
                s->stored = hdf_take(&c, o->f->length_size);
        } else if (version > 3) {
                rc = read_index(o, &c, e);
        } else {
                int count = (int)hdf_take(&c, 1);
                s->at = hdf_take_address(o->f, &c);
                rc = read_sides(o, &c, count, 4, e);
        }
        return rc == 0 && c.bad ? hdf_damaged("a data set", e) : rc;
}

/* Each filter: its number, the length of its name, flags, numbers for it. Version 2 names only those of
 * others. */
static int read_filters(struct opening *o, struct hdf_cursor c, struct err *e)
{
        struct hdf_set *s = &o->set;
        int version = (int)hdf_take(&c, 1), count = (int)hdf_take(&c, 1);
        if (count > HDF_MAX_FILTERS)
                return err_set(e, ERR_INVALID, "%d filters are not read", count);
        hdf_skip(&c, version == 1 ? 6 : 0);
        for (int i = 0; i < count; i++) {
                int filter = (int)hdf_take(&c, 2);
                uint64_t name = version == 1 || filter >= 256 ? hdf_take(&c, 2) : 0;
                hdf_skip(&c, 2);
                uint64_t numbers = hdf_take(&c, 2);
                hdf_skip(&c, name + 4 * (numbers + (version == 1 && numbers % 2)));
                s->filters[s->filter_count++] = filter;
        }
        return c.bad ? hdf_damaged("a data set", e) : 0;
}

/* What was never written reads as this; zeros where it has another size than an element. */
static int read_fill(struct opening *o, struct hdf_cursor c, int kind, struct err *e)
{
        enum { TOLD = 0x20 };
        struct hdf_set *s = &o->set;
        bool told = true;
        if (kind == HDF_FILL) {
                int version = (int)hdf_take(&c, 1), flags = (int)hdf_take(&c, 1);
                if (version < 3)
                        hdf_skip(&c, 1);
                told = version < 3 ? hdf_take(&c, 1) || version == 1 : flags & TOLD;
        }
        s->fill_bytes = told ? (uint32_t)hdf_take(&c, 4) : 0;
        const unsigned char *value = s->fill_bytes <= sizeof s->fill ? hdf_skip(&c, s->fill_bytes) : NULL;
        if (value)
                memcpy(s->fill, value, s->fill_bytes);
        return c.bad ? hdf_damaged("a data set", e) : 0;
}

static int on_message(void *ctx, int kind, int flags, struct hdf_cursor body, struct err *e)
{
        struct opening *o = ctx;
        switch (kind) {
        case HDF_SPACE:
                return o->space ? 0 : read_space(o, body, e);
        case HDF_TYPE:
                return o->type ? 0 : read_type(o, body, flags, e);
        case HDF_LAYOUT:
                return o->layout ? 0 : read_layout(o, body, e);
        case HDF_FILTERS:
                return o->set.filter_count ? 0 : read_filters(o, body, e);
        case HDF_FILL_OLD:
        case HDF_FILL:
                return flags & HDF_SHARED ? 0 : read_fill(o, body, kind, e);
        case HDF_EXTERNAL:
                return err_set(e, ERR_INVALID, "a data set in another file is not read");
        default:
                return 0;
        }
}

/* At most one deflate, and what only moves or checks bytes: each other filter is a door of its own. */
static int check_filters(const struct hdf_set *s, bool *ret_deflate, struct err *e)
{
        *ret_deflate = false;
        for (int i = 0; i < s->filter_count; i++) {
                int filter = s->filters[i];
                if (filter == HDF_DEFLATE && !*ret_deflate)
                        *ret_deflate = true;
                else if (filter != HDF_SHUFFLE && filter != HDF_FLETCHER32)
                        return err_set(e, ERR_INVALID,
                                "the filter %d is not read; one deflate, shuffle and fletcher32 are", filter);
        }
        return 0;
}

static int check_chunk(struct hdf_set *s, uint64_t most, struct err *e)
{
        if (s->chunk_ndim != s->ndim)
                return hdf_damaged("a data set", e);
        s->chunk_bytes = s->bytes;
        for (int i = 0; i < s->ndim; i++) {
                if (s->chunk[i] == 0 || s->chunk_bytes > CHUNK_MAX_BYTES / s->chunk[i])
                        return err_set(e, ERR_TOO_LARGE, "chunks of more than %d bytes", CHUNK_MAX_BYTES);
                s->chunk_bytes *= s->chunk[i];
        }
        return s->chunk_bytes > most ? err_set(e, ERR_SYNTAX, "too short for its chunks") : 0;
}

/* Bytes of the file that chunks fill, each once. */
static int sum_chunks(struct hdf *f, const struct hdf_set *s, uint64_t *ret, struct err *e)
{
        struct hdf_chunk *chunks = NULL;
        size_t count = 0;
        int rc = hdf_list_chunks(f, s, &chunks, &count, e);
        *ret = 0;
        for (size_t i = 0; rc == 0 && i < count; i++)
                if (chunks[i].size > f->len - *ret)
                        rc = err_set(e, ERR_SYNTAX, "chunks that overlap");
                else
                        *ret += chunks[i].size;
        free(chunks);
        return rc;
}

/* What is stored must be able to fill the set. */
static int check_storage(struct hdf *f, struct hdf_set *s, struct err *e)
{
        uint64_t need = s->bytes, stored = s->stored;
        bool deflate = false;
        for (int i = 0; i < s->ndim; i++) {
                if (s->dims[i] && need > UINT64_MAX / s->dims[i])
                        return err_set(e, ERR_TOO_LARGE, "more elements than can be counted");
                need *= s->dims[i];
        }
        if (s->layout == HDF_CONTIGUOUS && s->at == HDF_NOWHERE)
                stored = 0;
        if (s->layout == HDF_CONTIGUOUS && stored != 0)
                stored = s->at > f->len ? 0 : stored < f->len - s->at ? stored : f->len - s->at;
        int rc = s->layout == HDF_CHUNKED ? check_filters(s, &deflate, e) : 0;
        /* Before the chunks are listed: they cannot be more than the file. */
        uint64_t most = f->len * (deflate ? DEFLATE_RATIO : 1);
        if (rc == 0 && s->layout == HDF_CHUNKED)
                rc = check_chunk(s, most, e);
        if (rc == 0 && s->layout == HDF_CHUNKED)
                rc = sum_chunks(f, s, &stored, e);
        most = stored * (deflate ? DEFLATE_RATIO : 1);
        if (rc == 0 && need > most)
                rc = err_set(e, ERR_SYNTAX, "%llu stored bytes cannot hold %llu", (unsigned long long)stored,
                        (unsigned long long)need);
        return rc;
}

int hdf_open_set(struct hdf *f, uint64_t object, struct hdf_set *ret, struct err *e)
{
        struct opening o = {.f = f};
        int rc = hdf_messages(f, object, on_message, &o, e);
        if (rc == 0 && !(o.space && o.type && o.layout))
                rc = err_set(e, ERR_INVALID, "not a data set");
        if (rc == 0 && o.set.real)
                rc = check_storage(f, &o.set, e);
        if (rc == 0)
                *ret = o.set;
        return rc;
}

/* --- reading --- */

/* Where a run of elements goes: its place in the result, counted in elements. */
struct sink {
        const struct hdf_set *set;
        float *floats;
        unsigned char *bytes;
};

static void put(const struct sink *s, const unsigned char *from, uint64_t at, uint64_t count)
{
        if (s->floats)
                sample_read(&s->set->sample, from, s->set->bytes, (size_t)count, s->floats + at);
        else
                memcpy(s->bytes + at * s->set->bytes, from, (size_t)(count * s->set->bytes));
}

/* The first three dimensions from the last on: sides of what is wanted and of what `from` is a part of. */
struct box {
        uint64_t want[HDF_MAX_DIMS], size[HDF_MAX_DIMS], offset[HDF_MAX_DIMS];
};

static uint64_t overlap(const struct box *b, int i)
{
        uint64_t left = b->offset[i] < b->want[i] ? b->want[i] - b->offset[i] : 0;
        return left < b->size[i] ? left : b->size[i];
}

/* The part at `offset` of `size` elements a side, row by row. */
static void put_box(const struct sink *s, const struct box *b, const unsigned char *from)
{
        uint64_t depth = overlap(b, 0), height = overlap(b, 1), width = overlap(b, 2);
        /* Rows that follow one another here and there are one. */
        bool whole = width == b->size[2] && width == b->want[2];
        uint64_t rows = whole ? 1 : height, run = whole ? height * width : width;
        for (uint64_t z = 0; width && z < depth; z++)
                for (uint64_t y = 0; y < rows; y++)
                        put(s, from + (z * b->size[1] + y) * b->size[2] * s->set->bytes,
                                ((b->offset[0] + z) * b->want[1] + b->offset[1] + y) * b->want[2] +
                                        b->offset[2],
                                run);
}

/* Fewer dimensions are as many ones before them. */
static void widen(uint64_t to[HDF_MAX_DIMS], const uint64_t *from, int ndim, uint64_t rest)
{
        for (int i = 0; i < HDF_MAX_DIMS; i++)
                to[i] = i < HDF_MAX_DIMS - ndim ? rest : from[i - (HDF_MAX_DIMS - ndim)];
}

static int read_chunks(
        struct hdf *f, const struct hdf_set *set, struct box *b, const struct sink *sink, struct err *e)
{
        struct hdf_chunk *chunks = NULL;
        size_t count = 0;
        unsigned char *room[2] = {malloc((size_t)set->chunk_bytes + HDF_SLACK_BYTES),
                malloc((size_t)set->chunk_bytes + HDF_SLACK_BYTES)};
        int rc = room[0] && room[1] ? hdf_list_chunks(f, set, &chunks, &count, e)
                                    : err_set(e, ERR_NO_MEMORY, "no memory for a chunk");
        widen(b->size, set->chunk, set->ndim, 1);
        for (size_t i = 0; rc == 0 && i < count; i++) {
                const unsigned char *from = NULL;
                widen(b->offset, chunks[i].offset, set->ndim, 0);
                if (overlap(b, 0) == 0 || overlap(b, 1) == 0 || overlap(b, 2) == 0)
                        continue;
                rc = hdf_unfilter(f, set, &chunks[i], room, &from, e);
                if (rc == 0)
                        put_box(sink, b, from);
        }
        free(chunks);
        free(room[0]);
        free(room[1]);
        return rc;
}

static int read_set(struct hdf *f, const struct hdf_set *set, const uint64_t *count, const struct sink *sink,
        struct err *e)
{
        struct box b = {0};
        widen(b.want, count, set->ndim, 1);
        if (set->layout == HDF_CHUNKED)
                return read_chunks(f, set, &b, sink, e);
        widen(b.size, set->dims, set->ndim, 1);
        /* hdf_open_set has held them against what is stored. */
        put_box(sink, &b, set->layout == HDF_COMPACT ? set->compact : f->bytes + set->at);
        return 0;
}

static uint64_t product(const struct hdf_set *set, const uint64_t *count)
{
        uint64_t n = 1;
        for (int i = 0; i < set->ndim; i++)
                n *= count[i];
        return n;
}

/* Before the chunks that are stored. */
static void put_fill(const struct sink *s, uint64_t count)
{
        static const unsigned char zeros[sizeof s->set->fill];
        const unsigned char *fill = s->set->fill_bytes == s->set->bytes ? s->set->fill : zeros;
        if (s->floats && memcmp(fill, zeros, sizeof zeros) == 0)
                memset(s->floats, 0, (size_t)count * sizeof *s->floats);
        else if (s->floats)
                sample_read(&s->set->sample, fill, 0, (size_t)count, s->floats);
        for (uint64_t i = 0; s->bytes && i < count; i++)
                memcpy(s->bytes + i * s->set->bytes, fill, s->set->bytes);
}

int hdf_read_floats(struct hdf *f, const struct hdf_set *set, const uint64_t *count, float *to, struct err *e)
{
        const struct sink sink = {.set = set, .floats = to};
        put_fill(&sink, product(set, count));
        return read_set(f, set, count, &sink, e);
}

int hdf_read_bytes(
        struct hdf *f, const struct hdf_set *set, const uint64_t *count, unsigned char *to, struct err *e)
{
        const struct sink sink = {.set = set, .bytes = to};
        put_fill(&sink, product(set, count));
        return read_set(f, set, count, &sink, e);
}

double hdf_number(const struct sample *s, const unsigned char *p)
{
        float v = 0;
        if (s->kind == SAMPLE_FLOAT && s->bytes == 8)
                return span_f64(p, s->big_endian);
        if (s->kind == SAMPLE_UINT)
                return (double)span_uint(p, s->bytes, s->big_endian);
        if (s->kind == SAMPLE_INT) {
                int shift = 64 - 8 * s->bytes;
                return (double)((int64_t)(span_uint(p, s->bytes, s->big_endian) << shift) >> shift);
        }
        sample_read(s, p, 0, 1, &v);
        return (double)v;
}
