#include "data/dmtags.h"

#include "data/span.h"

#include <string.h>

enum { TAG_GROUP = 20, TAG_DATA = 21, ARRAY = 20, MAX_FIELDS = 256, MAX_NESTING = 4 };

struct walk {
        const unsigned char *bytes;
        size_t len, at;
        int version;
        uint64_t tags;
        dmtags_found found;
        void *ctx;
        struct err *e;
        struct dmtags_tag tag;
};

int dmtags_version(const unsigned char *b, size_t len)
{
        if (len < DMTAGS_HEAD_MAX)
                return 0;
        int version = (int)span_uint(b, 4, true);
        if (version != 3 && version != 4)
                return 0;
        return span_uint(b + (version == 3 ? 8 : 12), 4, true) <= 1 ? version : 0;
}

static int damaged(struct walk *k, const char *what)
{
        return err_set(k->e, ERR_SYNTAX, "%s at byte %zu", what, k->at);
}

/* An unsigned big-endian number of `size` bytes; version 4 has 8 where 3 has 4. */
static int take(struct walk *k, int size, uint64_t *ret)
{
        if (!span_holds(k->len, k->at, (uint64_t)size))
                return damaged(k, "the tags end too early");
        *ret = span_uint(k->bytes + k->at, size, true);
        k->at += (size_t)size;
        return 0;
}

static int take_long(struct walk *k, uint64_t *ret)
{
        return take(k, k->version == 4 ? 8 : 4, ret);
}

static int type_size(uint64_t type)
{
        static const int sizes[] = {0, 0, 2, 4, 2, 4, 4, 8, 1, 1, 1, 8, 8};
        return type < sizeof sizes / sizeof sizes[0] ? sizes[type] : 0;
}

/* The description of an element: its type, and the bytes it takes. `left` numbers of the info array remain.
 */
static int take_element(struct walk *k, uint64_t *left, int nesting, enum dmtags_type *type, uint64_t *bytes);

static int next_info(struct walk *k, uint64_t *left, uint64_t *ret)
{
        if (*left == 0)
                return damaged(k, "a tag's description is too short");
        --*left;
        return take_long(k, ret);
}

static int take_struct(struct walk *k, uint64_t *left, int nesting, uint64_t *bytes)
{
        uint64_t name = 0, fields = 0;
        int rc = next_info(k, left, &name);
        if (rc == 0)
                rc = next_info(k, left, &fields);
        if (rc == 0 && fields > MAX_FIELDS)
                return err_set(k->e, ERR_TOO_LARGE, "a struct of %llu fields", (unsigned long long)fields);
        *bytes = 0;
        for (uint64_t i = 0; rc == 0 && i < fields; i++) {
                enum dmtags_type type;
                uint64_t size = 0;
                rc = next_info(k, left, &name);
                if (rc == 0)
                        rc = take_element(k, left, nesting + 1, &type, &size);
                if (rc == 0 && size > k->len)
                        rc = damaged(k, "a field larger than the file");
                *bytes += size;
        }
        return rc;
}

static int take_element(struct walk *k, uint64_t *left, int nesting, enum dmtags_type *type, uint64_t *bytes)
{
        uint64_t kind = 0, count = 1, each = 0;
        int rc = next_info(k, left, &kind);
        if (rc != 0)
                return rc;
        if (nesting > MAX_NESTING)
                return err_set(k->e, ERR_TOO_LARGE, "types nest deeper than %d", MAX_NESTING);
        *type = (enum dmtags_type)kind;
        if (kind == DMTAGS_STRUCT)
                return take_struct(k, left, nesting, bytes);
        if (kind == DMTAGS_STRING) {
                each = 2;
                rc = next_info(k, left, &count);
        } else if (kind == ARRAY) {
                rc = take_element(k, left, nesting + 1, type, &each);
                if (rc == 0)
                        rc = next_info(k, left, &count);
        } else {
                each = (uint64_t)type_size(kind);
                if (each == 0)
                        return damaged(k, "an unknown type");
        }
        if (rc != 0)
                return rc;
        if (each && count > k->len / each)
                return damaged(k, "an array larger than the file");
        *bytes = each * count;
        return 0;
}

static int walk_data(struct walk *k)
{
        uint64_t mark = 0, left = 0;
        int rc = take(k, 4, &mark);
        if (rc == 0)
                rc = take_long(k, &left);
        if (rc != 0)
                return rc;
        if (mark != 0x25252525)
                return damaged(k, "no percent signs before a value");
        rc = take_element(k, &left, 0, &k->tag.type, &k->tag.bytes);
        if (rc != 0)
                return rc;
        if (left != 0)
                return damaged(k, "a tag's description is too long");
        if (!span_holds(k->len, k->at, k->tag.bytes))
                return damaged(k, "a value ends beyond the file");
        k->tag.values = k->bytes + k->at;
        k->at += (size_t)k->tag.bytes;
        return k->found(k->ctx, &k->tag, k->e);
}

static int walk_group(struct walk *k);

static int walk_tag(struct walk *k, uint64_t index)
{
        uint64_t kind = 0, length = 0, size = 0;
        if (++k->tags > DMTAGS_MAX_TAGS)
                return err_set(k->e, ERR_TOO_LARGE, "more than %d tags", DMTAGS_MAX_TAGS);
        int rc = take(k, 1, &kind);
        if (rc == 0)
                rc = take(k, 2, &length);
        if (rc != 0)
                return rc;
        if (!span_holds(k->len, k->at, length))
                return damaged(k, "the tags end too early");
        if (k->tag.depth == DMTAGS_MAX_DEPTH)
                return err_set(k->e, ERR_TOO_LARGE, "tags nest deeper than %d", DMTAGS_MAX_DEPTH);
        k->tag.path[k->tag.depth++] =
                (struct dmtags_name){(const char *)k->bytes + k->at, (size_t)length, index};
        k->at += (size_t)length;
        if (k->version == 4)
                rc = take(k, 8, &size);
        if (rc != 0)
                return rc;
        if (kind == TAG_GROUP)
                rc = walk_group(k);
        else if (kind == TAG_DATA)
                rc = walk_data(k);
        else
                rc = damaged(k, "neither a group nor a value");
        k->tag.depth--;
        return rc;
}

static int walk_group(struct walk *k)
{
        uint64_t flags = 0, count = 0;
        int rc = take(k, 2, &flags);
        if (rc == 0)
                rc = take_long(k, &count);
        for (uint64_t i = 0; rc == 0 && i < count; i++)
                rc = walk_tag(k, i);
        return rc;
}

int dmtags_walk(const unsigned char *bytes, size_t len, dmtags_found found, void *ctx, struct err *e)
{
        struct walk k = {.bytes = bytes, .len = len, .found = found, .ctx = ctx, .e = e};
        k.version = dmtags_version(bytes, len);
        if (k.version == 0)
                return err_set(e, ERR_SYNTAX, "no header of version 3 or 4");
        k.at = k.version == 3 ? 12 : 16;
        k.tag.big_endian = span_uint(bytes + k.at - 4, 4, true) == 0;
        return walk_group(&k);
}

bool dmtags_is(const struct dmtags_tag *tag, int i, const char *name)
{
        return i < tag->depth && strlen(name) == tag->path[i].len &&
               memcmp(name, tag->path[i].text, tag->path[i].len) == 0;
}

bool dmtags_number(const struct dmtags_tag *tag, double *ret)
{
        int size = type_size(tag->type);
        if (size == 0 || tag->bytes < (uint64_t)size)
                return false;
        uint64_t bits = span_uint(tag->values, size, tag->big_endian);
        switch (tag->type) {
        case DMTAGS_F32:
                *ret = (double)span_f32(tag->values, tag->big_endian);
                break;
        case DMTAGS_F64:
                *ret = span_f64(tag->values, tag->big_endian);
                break;
        case DMTAGS_I8:
        case DMTAGS_I16:
        case DMTAGS_I32:
        case DMTAGS_I64:
                *ret = (double)((int64_t)(bits << (64 - 8 * size)) >> (64 - 8 * size));
                break;
        default:
                *ret = (double)bits;
        }
        return true;
}
