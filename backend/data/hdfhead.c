/* Object headers, and the two messages that all of them share. */
#include "data/hdfparts.h"

enum { MAX_BLOCKS = 256 };

struct block {
        uint64_t at, size;
};

struct walk_head {
        struct hdf *f;
        int version;
        bool ordered; /* version 2: messages tell when they were made */
        struct block blocks[MAX_BLOCKS];
        int count;
};

/* The first block of messages. */
static bool read_prefix(struct walk_head *w, uint64_t address)
{
        struct hdf_cursor c = hdf_from(w->f, address);
        if (c.end - c.p >= 4 && memcmp(c.p, "OHDR", 4) == 0) {
                hdf_skip(&c, 4);
                w->version = (int)hdf_take(&c, 1);
                unsigned flags = (unsigned)hdf_take(&c, 1);
                w->ordered = flags & 4;
                hdf_skip(&c, (flags & 0x20 ? 16 : 0) + (flags & 0x10 ? 4 : 0));
                w->blocks[0].size = hdf_take(&c, 1 << (flags & 3));
        } else {
                w->version = (int)hdf_take(&c, 1);
                hdf_skip(&c, 7);
                w->blocks[0].size = hdf_take(&c, 4);
                hdf_skip(&c, 4);
        }
        w->blocks[0].at = (uint64_t)(c.p - w->f->bytes);
        w->count = 1;
        return !c.bad && (w->version == 1 || w->version == 2);
}

/* Version 2 has a mark before the messages and a checksum behind them. */
static int add_block(struct walk_head *w, struct hdf_cursor c, struct err *e)
{
        uint64_t at = hdf_take_address(w->f, &c), size = hdf_take(&c, w->f->length_size);
        if (w->count == MAX_BLOCKS)
                return err_set(e, ERR_TOO_LARGE, "an object in more than %d pieces", MAX_BLOCKS);
        if (w->version == 2) {
                struct hdf_cursor mark = hdf_at(w->f, at, size);
                if (!hdf_take_magic(&mark, "OCHK") || size < 8)
                        return hdf_damaged("an object", e);
                at += 4;
                size -= 8;
        }
        if (c.bad)
                return hdf_damaged("an object", e);
        w->blocks[w->count++] = (struct block){at, size};
        return 0;
}

static int read_block(struct walk_head *w, struct block b, hdf_on_message visit, void *ctx, struct err *e)
{
        struct hdf_cursor c = hdf_at(w->f, b.at, b.size);
        const int head = w->version == 1 ? 8 : w->ordered ? 6 : 4;
        if (c.bad)
                return hdf_damaged("an object", e);
        while (c.end - c.p >= head) {
                int kind = (int)hdf_take(&c, w->version == 1 ? 2 : 1);
                uint64_t size = hdf_take(&c, 2);
                int flags = (int)hdf_take(&c, 1);
                hdf_skip(&c, (uint64_t)(head - (w->version == 1 ? 5 : 4)));
                const unsigned char *p = hdf_skip(&c, size);
                int rc = p ? hdf_step(w->f, e) : hdf_damaged("an object", e);
                if (rc == 0) {
                        struct hdf_cursor body = {p, p + size, false};
                        rc = kind == HDF_CONTINUATION ? add_block(w, body, e)
                                                      : visit(ctx, kind, flags, body, e);
                }
                if (rc != 0)
                        return rc;
        }
        return 0;
}

int hdf_messages(struct hdf *f, uint64_t address, hdf_on_message visit, void *ctx, struct err *e)
{
        struct walk_head w = {.f = f};
        int rc = read_prefix(&w, address) ? 0 : hdf_damaged("an object", e);
        for (int i = 0; rc == 0 && i < w.count; i++)
                rc = read_block(&w, w.blocks[i], visit, ctx, e);
        return rc;
}

/* IEEE 754's halves, floats and doubles: where their fields lie, and the exponent's bias. */
static bool is_ieee(struct hdf_cursor *c, uint32_t size, unsigned bits)
{
        static const struct {
                uint32_t size;
                unsigned char exponent_at, exponent, mantissa;
                uint32_t bias;
        } kinds[] = {{2, 10, 5, 10, 15}, {4, 23, 8, 23, 127}, {8, 52, 11, 52, 1023}};
        uint64_t offset = hdf_take(c, 2), precision = hdf_take(c, 2), exponent_at = hdf_take(c, 1),
                 exponent = hdf_take(c, 1), mantissa_at = hdf_take(c, 1), mantissa = hdf_take(c, 1),
                 bias = hdf_take(c, 4);
        for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
                if (kinds[i].size == size)
                        return !c->bad && offset == 0 && precision == 8 * size &&
                               exponent_at == kinds[i].exponent_at && exponent == kinds[i].exponent &&
                               mantissa_at == 0 && mantissa == kinds[i].mantissa && bias == kinds[i].bias &&
                               (bits & 0x70) == 0x20 && bits >> 8 == 8 * size - 1;
        return false;
}

bool hdf_read_type(struct hdf_cursor c, struct hdf_type *ret)
{
        enum { FIXED, FLOAT, TEXT = 3, VARIABLE = 9 };
        int kind = (int)hdf_take(&c, 1) & 15;
        unsigned bits = (unsigned)hdf_take(&c, 3);
        uint32_t size = (uint32_t)hdf_take(&c, 4);
        *ret = (struct hdf_type){.size = size,
                .text = kind == TEXT,
                .long_text = kind == VARIABLE && (bits & 15) == 1,
                .sample = {.bytes = size <= 8 ? (int)size : 0, .big_endian = bits & 1}};
        if (kind == FIXED) {
                uint64_t offset = hdf_take(&c, 2), precision = hdf_take(&c, 2);
                ret->sample.kind = bits & 8 ? SAMPLE_INT : SAMPLE_UINT;
                ret->plain = (size == 1 || size == 2 || size == 4 || size == 8) && offset == 0 &&
                             precision == 8 * size;
        } else if (kind == FLOAT) {
                ret->sample.kind = SAMPLE_FLOAT;
                ret->plain = is_ieee(&c, size, bits);
        }
        return !c.bad && size > 0;
}

bool hdf_read_space(const struct hdf *f, struct hdf_cursor c, int *ret_ndim, uint64_t dims[HDF_MAX_DIMS])
{
        enum { NONE = 2 };
        int version = (int)hdf_take(&c, 1), ndim = (int)hdf_take(&c, 1);
        hdf_skip(&c, 1);
        int kind = (int)hdf_take(&c, 1);
        if (version == 1)
                hdf_skip(&c, 4);
        for (int i = 0; i < ndim && i < HDF_MAX_DIMS; i++)
                dims[i] = hdf_take(&c, f->length_size);
        *ret_ndim = version == 2 && kind == NONE ? -1 : ndim;
        return !c.bad && (version == 1 || version == 2);
}
