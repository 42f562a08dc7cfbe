#include "daemon/worker/loaded.h"

#include <stdlib.h>
#include <string.h>

struct slot {
        char *path; /* owned; NULL: free */
        int64_t generation;
        struct infer *model; /* owned */
        uint64_t used;       /* the clock of its last use */
};

struct loaded {
        struct dev *dev;
        const struct strategies *known;
        struct slot slots[LOADED_MAX];
        uint64_t clock;
};

struct loaded *loaded_create(struct dev *d, const struct strategies *known)
{
        struct loaded *l = calloc(1, sizeof *l);
        if (l)
                *l = (struct loaded){.dev = d, .known = known};
        return l;
}

static void slot_clear(struct slot *s)
{
        infer_destroy(s->model);
        free(s->path);
        *s = (struct slot){0};
}

void loaded_drop(struct loaded *l)
{
        (void)loaded_make_room(l, NULL, ERR_DEVICE_MEMORY);
}

bool loaded_make_room(struct loaded *l, const struct infer *spared, int rc)
{
        bool some = false;
        for (int i = 0; rc == ERR_DEVICE_MEMORY && i < LOADED_MAX; i++)
                if (l->slots[i].path && l->slots[i].model != spared) {
                        slot_clear(&l->slots[i]);
                        some = true;
                }
        return some;
}

/* The slot of this path, whatever its generation; else a free one; else the one unused for longest. */
static struct slot *choose(struct loaded *l, const char *path)
{
        struct slot *best = &l->slots[0];
        for (int i = 0; i < LOADED_MAX; i++) {
                struct slot *s = &l->slots[i];
                if (s->path && strcmp(s->path, path) == 0)
                        return s;
                if (best->path && (!s->path || s->used < best->used))
                        best = s;
        }
        return best;
}

int loaded_get(struct loaded *l, const char *path, int64_t generation, struct infer **ret, struct err *e)
{
        struct slot *s = choose(l, path);
        if (!s->path || strcmp(s->path, path) != 0 || s->generation != generation) {
                if (s->path)
                        slot_clear(s);
                struct infer *model = NULL;
                char *copy = strdup(path);
                if (!copy)
                        return err_set(e, ERR_NO_MEMORY, "no memory for a model");
                int rc;
                do
                        rc = infer_create(l->dev, l->known, path, &model, e);
                while (loaded_make_room(l, NULL, rc));
                if (rc) {
                        free(copy);
                        return rc;
                }
                *s = (struct slot){.path = copy, .generation = generation, .model = model};
        }
        s->used = ++l->clock;
        *ret = s->model;
        return 0;
}
