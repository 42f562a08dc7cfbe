/* Some room on the state folder's disk that is given up while there is no other, so that what makes room (a
   deletion, a cancel) can be stored: of a file `reserve` that holds nothing. One thread. */
#ifndef CNND_RESERVE_H
#define CNND_RESERVE_H

#include <stdbool.h>
#include <stdint.h>

enum { RESERVE_BYTES = 8 << 20 };

struct reserve;
/* Takes the room, or less where that is all there is. NULL when memory is out. */
struct reserve *reserve_create(const char *state_dir);
/* What it holds stays. NULL accepted. */
void reserve_destroy(struct reserve *r);

/* After a change that makes room came to `rc`: true where the disk was full and the reserve has just been
   given up, so that the change is worth another try. Else it is taken again, as far as there is room.

     do
             rc = jobs_delete(js, id, e);
     while (reserve_helps(r, rc)); */
bool reserve_helps(struct reserve *r, int rc);
/* Takes it again, now and then, where it was given up. */
void reserve_tick(struct reserve *r, int64_t now_ms);

#endif
