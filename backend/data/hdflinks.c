/* The members of a group: a tree of symbol tables with its heap of names, or links in the object's header. */
#include "data/hdfparts.h"

struct walk_links {
        struct hdf *f;
        hdf_visit visit;
        void *ctx;
        bool group;
        int count;
};

static int tell(struct walk_links *w, const unsigned char *name, size_t len, uint64_t object, struct err *e)
{
        char text[HDF_NAME_BYTES];
        if (++w->count > HDF_MAX_LINKS)
                return err_set(e, ERR_TOO_LARGE, "more than %d members in a group", HDF_MAX_LINKS);
        if (len >= sizeof text || memchr(name, '/', len) || memchr(name, 0, len))
                return 0;
        memcpy(text, name, len);
        text[len] = '\0';
        return w->visit(w->ctx, text, object, e);
}

static int read_table(struct walk_links *w, uint64_t at, struct hdf_cursor heap, struct err *e)
{
        enum { SOFT = 2 };
        struct hdf_cursor c = hdf_from(w->f, at);
        if (!hdf_take_magic(&c, "SNOD"))
                return hdf_damaged("a group", e);
        hdf_skip(&c, 2);
        for (int i = (int)hdf_take(&c, 2); i > 0; i--) {
                uint64_t name = hdf_take(&c, w->f->offset_size), object = hdf_take_address(w->f, &c);
                int kind = (int)hdf_take(&c, 4);
                hdf_skip(&c, 20);
                struct hdf_cursor text = heap;
                const unsigned char *end =
                        hdf_skip(&text, name) ? memchr(text.p, 0, (size_t)(text.end - text.p)) : NULL;
                int rc = !c.bad && end ? hdf_step(w->f, e) : hdf_damaged("a group", e);
                if (rc == 0 && kind != SOFT && object != HDF_NOWHERE)
                        rc = tell(w, text.p, (size_t)(end - text.p), object, e);
                if (rc != 0)
                        return rc;
        }
        return 0;
}

static int read_tree(struct walk_links *w, uint64_t at, int above, struct hdf_cursor heap, struct err *e)
{
        struct hdf_cursor c = hdf_from(w->f, at);
        bool tree = hdf_take_magic(&c, "TREE") && hdf_take(&c, 1) == 0;
        int level = (int)hdf_take(&c, 1), count = (int)hdf_take(&c, 2), rc = 0;
        hdf_skip(&c, 2 * (uint64_t)w->f->offset_size);
        if (!tree || level >= above)
                return hdf_damaged("a group", e);
        for (int i = 0; rc == 0 && i < count; i++) {
                hdf_skip(&c, (uint64_t)w->f->length_size);
                uint64_t child = hdf_take_address(w->f, &c);
                rc = c.bad ? hdf_damaged("a group", e) : hdf_step(w->f, e);
                if (rc == 0)
                        rc = level ? read_tree(w, child, level, heap, e) : read_table(w, child, heap, e);
        }
        return rc;
}

static int read_symbols(struct walk_links *w, struct hdf_cursor c, struct err *e)
{
        enum { DEEPEST = 16 };
        uint64_t tree = hdf_take_address(w->f, &c), at = hdf_take_address(w->f, &c);
        struct hdf_cursor heap = hdf_from(w->f, at);
        bool is_heap = hdf_take_magic(&heap, "HEAP");
        hdf_skip(&heap, 4);
        uint64_t size = hdf_take(&heap, w->f->length_size);
        hdf_skip(&heap, (uint64_t)w->f->length_size);
        uint64_t names = hdf_take_address(w->f, &heap);
        if (c.bad || !is_heap || heap.bad)
                return hdf_damaged("a group", e);
        return read_tree(w, tree, DEEPEST, hdf_at(w->f, names, size), e);
}

static int read_link(struct walk_links *w, struct hdf_cursor c, struct err *e)
{
        enum { HARD = 0 };
        int version = (int)hdf_take(&c, 1);
        unsigned flags = (unsigned)hdf_take(&c, 1);
        int kind = flags & 8 ? (int)hdf_take(&c, 1) : HARD;
        hdf_skip(&c, (flags & 4 ? 8 : 0) + (flags & 16 ? 1 : 0));
        uint64_t len = hdf_take(&c, 1 << (flags & 3));
        const unsigned char *name = hdf_skip(&c, len);
        if (c.bad || version != 1)
                return hdf_damaged("a group", e);
        if (kind != HARD)
                return 0;
        uint64_t object = hdf_take_address(w->f, &c);
        return c.bad ? hdf_damaged("a group", e) : tell(w, name, (size_t)len, object, e);
}

static int check_info(struct walk_links *w, struct hdf_cursor c, struct err *e)
{
        hdf_skip(&c, 1);
        hdf_skip(&c, hdf_take(&c, 1) & 1 ? 8 : 0);
        if (hdf_take_address(w->f, &c) == HDF_NOWHERE || c.bad)
                return 0;
        return err_set(e, ERR_INVALID,
                "a group whose links lie in a fractal heap is not read; write it with libver earliest");
}

static bool is_of_groups(int kind)
{
        return kind == HDF_SYMBOLS || kind == HDF_LINK || kind == HDF_LINK_INFO;
}

static int on_message(void *ctx, int kind, int flags, struct hdf_cursor body, struct err *e)
{
        struct walk_links *w = ctx;
        (void)flags;
        w->group = w->group || is_of_groups(kind);
        switch (kind) {
        case HDF_SYMBOLS:
                return read_symbols(w, body, e);
        case HDF_LINK:
                return read_link(w, body, e);
        case HDF_LINK_INFO:
                return check_info(w, body, e);
        default:
                return 0;
        }
}

int hdf_each(struct hdf *f, uint64_t group, hdf_visit visit, void *ctx, struct err *e)
{
        struct walk_links w = {.f = f, .visit = visit, .ctx = ctx};
        int rc = hdf_messages(f, group, on_message, &w, e);
        return rc == 0 && !w.group ? err_set(e, ERR_INVALID, "not a group") : rc;
}

static int on_kind(void *ctx, int kind, int flags, struct hdf_cursor body, struct err *e)
{
        (void)flags;
        (void)body;
        (void)e;
        return *(bool *)ctx = is_of_groups(kind);
}

bool hdf_is_group(struct hdf *f, uint64_t object)
{
        struct err e;
        bool group = false;
        (void)hdf_messages(f, object, on_kind, &group, &e);
        return group;
}

struct wanted {
        const char *name;
        uint64_t object;
        bool found;
};

static int on_child(void *ctx, const char *name, uint64_t object, struct err *e)
{
        struct wanted *w = ctx;
        (void)e;
        if (strcmp(name, w->name) != 0)
                return 0;
        w->object = object;
        w->found = true;
        return 1;
}

bool hdf_child(struct hdf *f, uint64_t group, const char *name, uint64_t *ret)
{
        struct wanted w = {.name = name};
        struct err e;
        (void)hdf_each(f, group, on_child, &w, &e);
        if (w.found)
                *ret = w.object;
        return w.found;
}
