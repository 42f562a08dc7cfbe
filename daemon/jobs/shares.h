/* Device seconds that each user has had, halved every half-life: of the users whose jobs wait, the one with
   least goes first. Kept in the table `shares`. One thread.

   `wall_ms` is the wall clock, by which old seconds fade from one start to the next; `now_ms` is
   clock_now_ms, by which devices are timed. */
#ifndef CNND_SHARES_H
#define CNND_SHARES_H

#include "base/err.h"
#include "daemon/store/store.h"

#include <stdint.h>

/* What `seconds` of the past weigh `age_ms` later. A clock that went back changes nothing. */
double shares_faded(double seconds, double half_life_seconds, int64_t age_ms);

struct shares;
/* Borrows the store and reads its table. */
int shares_create(struct store *store, double half_life_seconds, struct shares **ret, struct err *e);
/* NULL accepted. */
void shares_destroy(struct shares *sh);

/* A device works for a user from now on, or no more for anybody. */
void shares_begin(struct shares *sh, int device, const char *user, int64_t now_ms);
void shares_end(struct shares *sh, int device);
/* Seconds that the device has worked and that are not stored yet. */
double shares_due(const struct shares *sh, int device, int64_t now_ms);
/* Stores so many of them, within the caller's transaction; once that is committed, shares_settle counts them.
 */
int shares_store(struct shares *sh, int device, double seconds, int64_t wall_ms, struct err *e);
void shares_settle(struct shares *sh, int device, double seconds, int64_t wall_ms);

/* The user's share: what is stored, what is due, and a second for each device in use, so that two devices
   that are free at once go to two users. */
double shares_of(const struct shares *sh, const char *user, int64_t now_ms, int64_t wall_ms);

#endif
