#include "net/packing.h"

#include <stdlib.h>
#include <string.h>

/* Pieces that live no longer are found by their moments, others by their offsets. */
enum { SHORT_LIFE = 8 };

/* Of a node of the tree below: bounds of the levels of its moments, and where the highest of their brief
   pieces ends. Everything below a moment's level is taken at that moment. A node's `low` holds for all nodes
   beneath it, whatever they say. */
struct level {
        uint64_t low, high, top;
};

struct link {
        int piece, next; /* indices, -1 at the end */
};

struct packing {
        int leaves;             /* a power of two */
        struct level *levels;   /* owned; node 1 is the root, of node n the children are 2n and 2n+1 */
        struct packed *lasting; /* owned; of long lives, by offset */
        int num_lasting, cap_lasting;
        uint64_t largest;     /* among them */
        struct packed *brief; /* owned */
        int num_brief, cap_brief;
        struct link *links; /* owned; each brief piece at each moment of its life */
        int num_links, cap_links;
        int *heads; /* owned; of each moment */
};

int packing_create(int moments, struct packing **ret, struct err *e)
{
        struct packing *p = calloc(1, sizeof *p);
        if (!p)
                return err_set(e, ERR_NO_MEMORY, "no memory for a plan");
        for (p->leaves = 1; p->leaves < moments; p->leaves *= 2)
                continue;
        p->levels = calloc(2 * (size_t)p->leaves, sizeof *p->levels);
        p->heads = malloc((size_t)moments * sizeof *p->heads);
        if (!p->levels || !p->heads) {
                packing_destroy(p);
                return err_set(e, ERR_NO_MEMORY, "no memory for a plan");
        }
        for (int i = 0; i < moments; i++)
                p->heads[i] = -1;
        *ret = p;
        return 0;
}

void packing_destroy(struct packing *p)
{
        if (!p)
                return;
        free(p->levels);
        free(p->lasting);
        free(p->brief);
        free(p->links);
        free(p->heads);
        free(p);
}

static uint64_t larger(uint64_t a, uint64_t b)
{
        return a > b ? a : b;
}

/* The highest level of the moments first..last; node covers begin..end, and `floor` holds for all of it. */
static uint64_t highest(
        const struct packing *p, int node, int begin, int end, int first, int last, uint64_t floor)
{
        const struct level *l = &p->levels[node];
        if (last < begin || end < first)
                return 0;
        floor = larger(floor, l->low);
        if (first <= begin && end <= last)
                return larger(floor, l->high);
        const int middle = begin + (end - begin) / 2;
        return larger(highest(p, 2 * node, begin, middle, first, last, floor),
                highest(p, 2 * node + 1, middle + 1, end, first, last, floor));
}

/* Where the level of one of the piece's moments has reached the piece, it rises to the piece's end. */
static void raise(struct packing *p, int node, int begin, int end, const struct packed *piece)
{
        struct level *l = &p->levels[node];
        const uint64_t to = piece->offset + piece->size;
        if (piece->last < begin || end < piece->first || l->high < piece->offset || l->low >= to)
                return;
        if (piece->first <= begin && end <= piece->last && l->low >= piece->offset) {
                l->low = to;
                l->high = larger(l->high, to);
                return;
        }
        if (begin == end)
                return;
        const int middle = begin + (end - begin) / 2;
        struct level *a = &p->levels[2 * node], *b = a + 1;
        for (struct level *child = a; child <= b; child++) {
                child->low = larger(child->low, l->low);
                child->high = larger(child->high, l->low);
        }
        raise(p, 2 * node, begin, middle, piece);
        raise(p, 2 * node + 1, middle + 1, end, piece);
        l->low = a->low < b->low ? a->low : b->low;
        l->high = larger(a->high, b->high);
}

/* The index of the first lasting piece that does not lie before `offset`. */
static int find_lasting(const struct packing *p, uint64_t offset)
{
        int low = 0, high = p->num_lasting;
        while (low < high) {
                const int middle = low + (high - low) / 2;
                if (p->lasting[middle].offset < offset)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

/* `at`, or above what lies in the way there and lives long. */
static uint64_t above_lasting(const struct packing *p, uint64_t at, const struct packed *want)
{
        for (int i = find_lasting(p, at > p->largest ? at - p->largest : 0); i < p->num_lasting; i++) {
                const struct packed *other = &p->lasting[i];
                if (other->offset >= at + want->size)
                        break;
                if (other->first <= want->last && want->first <= other->last)
                        at = larger(at, other->offset + other->size);
        }
        return at;
}

/* `at`, or above what lies in the way there and lives briefly. */
static uint64_t above_brief(
        const struct packing *p, int node, int begin, int end, uint64_t at, const struct packed *want)
{
        if (want->last < begin || end < want->first || p->levels[node].top <= at)
                return at;
        if (begin < end) {
                const int middle = begin + (end - begin) / 2;
                at = above_brief(p, 2 * node, begin, middle, at, want);
                return above_brief(p, 2 * node + 1, middle + 1, end, at, want);
        }
        for (int i = p->heads[begin]; i >= 0; i = p->links[i].next) {
                const struct packed *other = &p->brief[p->links[i].piece];
                if (other->offset < at + want->size)
                        at = larger(at, other->offset + other->size);
        }
        return at;
}

/* From below: whatever is in the way at some place leaves no room up to its own end. */
uint64_t packing_lowest(const struct packing *p, uint64_t size, int first, int last)
{
        const struct packed want = {.size = size, .first = first, .last = last};
        uint64_t at = highest(p, 1, 0, p->leaves - 1, first, last, 0), before;
        do {
                before = at;
                at = above_lasting(p, at, &want);
                at = above_brief(p, 1, 0, p->leaves - 1, at, &want);
        } while (at != before);
        return at;
}

static int grow(void **array, int *cap, int wanted, size_t item, struct err *e)
{
        if (wanted <= *cap)
                return 0;
        const int room = 2 * wanted + 64;
        void *grown = realloc(*array, (size_t)room * item);
        if (!grown)
                return err_set(e, ERR_NO_MEMORY, "no memory to plan %d tensors", wanted);
        *array = grown;
        *cap = room;
        return 0;
}

static int put_lasting(struct packing *p, const struct packed *piece, struct err *e)
{
        int rc = grow((void **)&p->lasting, &p->cap_lasting, p->num_lasting + 1, sizeof *p->lasting, e);
        if (rc)
                return rc;
        const int at = find_lasting(p, piece->offset);
        memmove(&p->lasting[at + 1], &p->lasting[at], (size_t)(p->num_lasting - at) * sizeof *p->lasting);
        p->lasting[at] = *piece;
        p->num_lasting++;
        p->largest = larger(p->largest, piece->size);
        return 0;
}

static int put_brief(struct packing *p, const struct packed *piece, struct err *e)
{
        int rc = grow((void **)&p->brief, &p->cap_brief, p->num_brief + 1, sizeof *p->brief, e);
        if (rc == 0)
                rc = grow((void **)&p->links, &p->cap_links, p->num_links + SHORT_LIFE, sizeof *p->links, e);
        if (rc)
                return rc;
        p->brief[p->num_brief] = *piece;
        for (int t = piece->first; t <= piece->last; t++) {
                p->links[p->num_links] = (struct link){p->num_brief, p->heads[t]};
                p->heads[t] = p->num_links++;
                for (int node = p->leaves + t; node > 0; node /= 2)
                        p->levels[node].top = larger(p->levels[node].top, piece->offset + piece->size);
        }
        p->num_brief++;
        return 0;
}

int packing_put(struct packing *p, const struct packed *piece, struct err *e)
{
        int rc = piece->last - piece->first < SHORT_LIFE ? put_brief(p, piece, e) : put_lasting(p, piece, e);
        if (rc == 0)
                raise(p, 1, 0, p->leaves - 1, piece);
        return rc;
}
