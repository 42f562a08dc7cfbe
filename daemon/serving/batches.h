/* Which classifications go to a device together, and which are there. classify.c's part. One thread.

   A device that does not train has one batch at a time: what comes meanwhile gathers to the next, which goes
   ahead once it is full, so that the device need not wait for it. A free
   device takes a batch at once when it is full or nobody of the same model is on the way: none is with the
   decoder, and as many have come as the last batch had a moment ago. Otherwise the batch waits for them, at
   most `window_us` from its first request on. To a device that trains, what has come goes at once, so that it
   is there when the step ends. A request of more images than go together goes aside: the device does it run
   by run, between others, one at a time. */
#ifndef CNND_BATCHES_H
#define CNND_BATCHES_H

#include <stdbool.h>
#include <stdint.h>

struct batch_options {
        int64_t window_us; /* 0: nobody waits for others */
        int max_images;
};

/* One on a device. */
struct batch {
        struct batch *next;
        int64_t ticket;
        int device, requests, images;
        int64_t generation;
        bool alone; /* suspected: no other is to be there meanwhile */
        bool aside; /* it leaves room for all but another such */
};

struct batches {
        struct batch_options o;
        struct batch *flying; /* owned */
        uint64_t begun;
        int64_t last_generation, last_us; /* of the last one: its model, and when it ended */
        int last_requests;
};
void batches_finish(struct batches *b);

/* What waits of one model. */
struct batch_crowd {
        int64_t generation, since_us; /* since when the first of them waits */
        int requests, images, coming; /* coming: still with the decoder */
        bool full, alone, aside;
};
/* Microseconds until it should go though nobody joins it. */
int64_t batches_wait_us(const struct batches *b, const struct batch_crowd *c, int64_t now_us);
/* Whether a device takes one more; `full`: one that nobody can join. */
bool batches_room(const struct batches *b, int device, bool trains, bool alone, bool full);
/* The same of one that goes aside. */
bool batches_room_aside(const struct batches *b, int device);
/* How many a device has, but for one that goes aside. */
int batches_on(const struct batches *b, int device);

/* False when memory is out. */
bool batches_begin(struct batches *b, int64_t ticket, int device, const struct batch_crowd *c);
/* The batch of an answer, taken from the list; freed by the caller. NULL for none. */
struct batch *batches_end(struct batches *b, int64_t ticket, int device, int64_t now_us);
/* The device's worker is gone with all of them. */
void batches_lost(struct batches *b, int device);

#endif
