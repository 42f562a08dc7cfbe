/* Choosing a tile for a layer by what it would cost, from few: each tile is a program, and a first job waits
   until a CPU driver has compiled it. */
#ifndef CNND_CHOICE_H
#define CNND_CHOICE_H

#include <stdbool.h>
#include <stdint.h>

/* What has been weighed so far; zeros for nothing. */
struct choice {
        struct {
                int tile;
                int64_t cost; /* 0 for none yet */
        } usual, any;
};

/* Of two that cost the same the later stands. `cost` > 0 in any unit; `usual`: of those that most layers
   shall share. */
static inline void choice_weigh(struct choice *c, int tile, int64_t cost, bool usual)
{
        if (c->any.cost == 0 || cost <= c->any.cost) {
                c->any.tile = tile;
                c->any.cost = cost;
        }
        if (usual && (c->usual.cost == 0 || cost <= c->usual.cost)) {
                c->usual.tile = tile;
                c->usual.cost = cost;
        }
}

/* A usual one, unless another saves an eighth of the time. */
static inline int choice_made(const struct choice *c)
{
        const bool other = c->usual.cost == 0 || 8 * c->any.cost < 7 * c->usual.cost;
        return other ? c->any.tile : c->usual.tile;
}

#endif
