#include "daemon/serving/batches.h"

#include <stdlib.h>

/* How long a batch tells how many the next one will have, and how many wait for a step of training. */
enum { MEMORY_US = 20000, TRAINING_MAX = 16 };

void batches_finish(struct batches *b)
{
        while (b->flying) {
                struct batch *f = b->flying;
                b->flying = f->next;
                free(f);
        }
}

int64_t batches_wait_us(const struct batches *b, const struct batch_crowd *c, int64_t now_us)
{
        const int64_t left = c->since_us + b->o.window_us - now_us;
        const int64_t known = b->last_us + MEMORY_US - now_us; /* left of what the last one tells */
        if (c->full || c->alone || left <= 0)
                return 0;
        if (c->coming)
                return left;
        if (c->generation != b->last_generation || c->requests >= b->last_requests || known <= 0)
                return 0;
        return left < known ? left : known;
}

int batches_on(const struct batches *b, int device)
{
        int count = 0;
        for (const struct batch *f = b->flying; f; f = f->next)
                count += f->device == device && !f->aside;
        return count;
}

bool batches_room(const struct batches *b, int device, bool trains, bool alone, bool full)
{
        for (const struct batch *f = b->flying; f; f = f->next)
                if (f->device == device && f->alone)
                        return false;
        return batches_on(b, device) < (alone ? 1 : trains ? TRAINING_MAX : full ? 2 : 1);
}

bool batches_room_aside(const struct batches *b, int device)
{
        for (const struct batch *f = b->flying; f; f = f->next)
                if (f->device == device && (f->alone || f->aside))
                        return false;
        return true;
}

bool batches_begin(struct batches *b, int64_t ticket, int device, const struct batch_crowd *c)
{
        struct batch *f = malloc(sizeof *f);
        if (!f)
                return false;
        *f = (struct batch){.next = b->flying,
                .ticket = ticket,
                .device = device,
                .requests = c->requests,
                .images = c->images,
                .generation = c->generation,
                .alone = c->alone,
                .aside = c->aside};
        b->flying = f;
        b->begun++;
        return true;
}

static struct batch *take(struct batch **place)
{
        struct batch *f = *place;
        *place = f->next;
        return f;
}

struct batch *batches_end(struct batches *b, int64_t ticket, int device, int64_t now_us)
{
        for (struct batch **place = &b->flying; *place; place = &(*place)->next) {
                struct batch *f = *place;
                if (f->ticket != ticket || f->device != device)
                        continue;
                b->last_generation = f->generation;
                b->last_requests = f->requests;
                b->last_us = now_us;
                return take(place);
        }
        return NULL;
}

void batches_lost(struct batches *b, int device)
{
        for (struct batch **place = &b->flying; *place;) {
                if ((*place)->device == device)
                        free(take(place));
                else
                        place = &(*place)->next;
        }
}
