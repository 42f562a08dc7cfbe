#include "data/hdfparts.h"

#include <stdio.h>

enum { MAX_STEPS = 4 << 20 };

struct hdf_cursor hdf_from(const struct hdf *f, uint64_t address)
{
        const unsigned char *end = f->bytes + f->len;
        return address <= f->len ? (struct hdf_cursor){f->bytes + address, end, false}
                                 : (struct hdf_cursor){end, end, true};
}

struct hdf_cursor hdf_at(const struct hdf *f, uint64_t address, uint64_t size)
{
        struct hdf_cursor c = hdf_from(f, address);
        if (size <= (uint64_t)(c.end - c.p))
                c.end = c.p + size;
        else
                c = (struct hdf_cursor){c.end, c.end, true};
        return c;
}

const unsigned char *hdf_skip(struct hdf_cursor *c, uint64_t size)
{
        const unsigned char *p = c->p;
        if (size > (uint64_t)(c->end - c->p)) {
                c->p = c->end;
                c->bad = true;
                return NULL;
        }
        c->p += size;
        return p;
}

uint64_t hdf_take(struct hdf_cursor *c, int size)
{
        const unsigned char *p = hdf_skip(c, (uint64_t)size);
        return p ? span_uint(p, size, false) : 0;
}

bool hdf_take_magic(struct hdf_cursor *c, const char magic[4])
{
        const unsigned char *p = hdf_skip(c, 4);
        return p && memcmp(p, magic, 4) == 0;
}

uint64_t hdf_take_address(const struct hdf *f, struct hdf_cursor *c)
{
        uint64_t v = hdf_take(c, f->offset_size);
        return v == UINT64_MAX >> (64 - 8 * f->offset_size) ? HDF_NOWHERE : v;
}

int hdf_damaged(const char *what, struct err *e)
{
        return err_set(e, ERR_SYNTAX, "%s is damaged or lies outside the file", what);
}

int hdf_step(struct hdf *f, struct err *e)
{
        return f->steps-- > 0 ? 0 : err_set(e, ERR_TOO_LARGE, "more than %d parts, or in circles", MAX_STEPS);
}

static bool is_width(int size)
{
        return size == 2 || size == 4 || size == 8;
}

/* Versions 0 and 1 name the root by an entry of a symbol table, 2 and 3 by its address. */
static int read_superblock(struct hdf *f, struct err *e)
{
        struct hdf_cursor c = hdf_from(f, 8);
        int version = (int)hdf_take(&c, 1);
        if (version > 3)
                return err_set(e, ERR_INVALID, "superblock version %d is unknown", version);
        if (version < 2)
                hdf_skip(&c, 4);
        f->offset_size = (int)hdf_take(&c, 1);
        f->length_size = (int)hdf_take(&c, 1);
        hdf_skip(&c, version == 0 ? 9 : version == 1 ? 13 : 1);
        if (c.bad || !is_width(f->offset_size) || !is_width(f->length_size))
                return hdf_damaged("the superblock", e);
        uint64_t base = hdf_take_address(f, &c);
        hdf_skip(&c, (uint64_t)f->offset_size * (version < 2 ? 4 : 2));
        f->root = hdf_take_address(f, &c);
        return c.bad || base != 0 ? hdf_damaged("the superblock", e) : 0;
}

int hdf_open(const unsigned char *bytes, size_t len, struct hdf *ret, struct err *e)
{
        *ret = (struct hdf){.bytes = bytes, .len = len, .steps = MAX_STEPS};
        return read_superblock(ret, e);
}

/* --- attributes --- */

struct attribute {
        const struct hdf *f;
        const char *name;
        struct hdf_type type; /* once it is found */
        const unsigned char *value;
        bool found;
};

/* Of version 1 the parts are padded to 8 bytes. */
static const unsigned char *take_part(struct hdf_cursor *c, uint64_t size, int version)
{
        return hdf_skip(c, version == 1 ? (size + 7) & ~(uint64_t)7 : size);
}

static int on_attribute(void *ctx, int kind, int flags, struct hdf_cursor c, struct err *e)
{
        struct attribute *a = ctx;
        (void)e;
        if (kind != HDF_ATTRIBUTE || flags & HDF_SHARED)
                return 0;
        int version = (int)hdf_take(&c, 1), shared = (int)hdf_take(&c, 1), ndim = 0;
        uint64_t name_size = hdf_take(&c, 2), type_size = hdf_take(&c, 2), space_size = hdf_take(&c, 2);
        uint64_t dims[HDF_MAX_DIMS] = {0}, count = 1;
        if (version < 1 || version > 3 || (version > 1 && shared))
                return 0;
        if (version == 3)
                hdf_skip(&c, 1);
        const unsigned char *name = take_part(&c, name_size, version),
                            *type = take_part(&c, type_size, version),
                            *space = take_part(&c, space_size, version);
        size_t len = strlen(a->name);
        if (c.bad || name_size < len + 1 || memcmp(name, a->name, len + 1) != 0)
                return 0;
        if (!hdf_read_type((struct hdf_cursor){type, type + type_size, false}, &a->type) ||
                !hdf_read_space(a->f, (struct hdf_cursor){space, space + space_size, false}, &ndim, dims) ||
                ndim < 0 || ndim > HDF_MAX_DIMS)
                return 1;
        for (int i = 0; i < ndim; i++)
                count *= dims[i] == 1;
        a->value = hdf_skip(&c, a->type.size);
        a->found = count == 1 && a->value;
        return 1;
}

static bool find_attribute(struct hdf *f, uint64_t object, const char *name, struct attribute *a)
{
        struct err e;
        *a = (struct attribute){.f = f, .name = name};
        (void)hdf_messages(f, object, on_attribute, a, &e);
        return a->found;
}

bool hdf_attribute_number(struct hdf *f, uint64_t object, const char *name, double *ret)
{
        struct attribute a;
        if (!find_attribute(f, object, name, &a) || !a.type.plain)
                return false;
        *ret = hdf_number(&a.type.sample, a.value);
        return true;
}

/* An object of the global heap: its length, its collection's address and its number there. */
static bool find_in_heap(struct hdf *f, const unsigned char *reference, struct hdf_cursor *ret)
{
        struct hdf_cursor r = {reference, reference + 8 + f->offset_size, false};
        uint64_t len = hdf_take(&r, 4), at = hdf_take_address(f, &r), want = hdf_take(&r, 4);
        struct hdf_cursor c = hdf_from(f, at);
        struct err e;
        if (!hdf_take_magic(&c, "GCOL"))
                return false;
        hdf_skip(&c, 4 + (uint64_t)f->length_size);
        while (!c.bad && hdf_step(f, &e) == 0) {
                uint64_t index = hdf_take(&c, 2);
                hdf_skip(&c, 6);
                uint64_t size = hdf_take(&c, f->length_size);
                const unsigned char *value = hdf_skip(&c, size);
                if (c.bad || index == 0)
                        return false;
                if (index == want) {
                        *ret = (struct hdf_cursor){value, value + (len < size ? len : size), false};
                        return true;
                }
                hdf_skip(&c, (0 - size) & 7);
        }
        return false;
}

bool hdf_attribute_text(struct hdf *f, uint64_t object, const char *name, char *to, size_t room)
{
        struct attribute a;
        if (!find_attribute(f, object, name, &a))
                return false;
        struct hdf_cursor text = {a.value, a.value + a.type.size, false};
        if (a.type.long_text &&
                (a.type.size != 8 + (uint32_t)f->offset_size || !find_in_heap(f, a.value, &text)))
                return false;
        if (!a.type.text && !a.type.long_text)
                return false;
        size_t len = (size_t)(text.end - text.p);
        snprintf(to, room, "%.*s", (int)(len < room ? len : room), (const char *)text.p);
        return true;
}
