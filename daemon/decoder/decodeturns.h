/* Seconds of the slow decoder that each user has had recently: of those who wait, the one with the least is
   next. One thread. */
#ifndef CNND_DECODETURNS_H
#define CNND_DECODETURNS_H

#include <stdint.h>

/* Users that are remembered. Who is not has had nothing. */
enum { DECODE_TURNS_USERS = 64 };

/* All zero: nobody has had any. */
struct decode_turns {
        struct decode_turn {
                char *user; /* owned */
                double seconds;
                int64_t at_ms;
        } users[DECODE_TURNS_USERS];
};
void decode_turns_finish(struct decode_turns *t);

/* Halved every minute since. */
double decode_turns_of(const struct decode_turns *t, const char *user, int64_t now_ms);
/* Without memory for a new one it counts for nobody. */
void decode_turns_add(struct decode_turns *t, const char *user, double seconds, int64_t now_ms);

#endif
