/* A token bucket: `rate` a second on average, `burst` at once. Any thread. */
#ifndef CNND_BUCKET_H
#define CNND_BUCKET_H

#include <stdbool.h>
#include <stdint.h>

struct bucket {
        double taken;  /* out of the bucket, falling with time; 0: full */
        int64_t at_ms; /* when that was */
};

/* Takes one, and returns 0; or leaves it as it was and returns the milliseconds until there is one. All zero
   is a full bucket. rate > 0, burst >= 1. */
int64_t bucket_take(struct bucket *b, double rate, double burst, int64_t now_ms);
/* Takes `amount`, whatever is there: then nothing is to be had until it has come back. */
void bucket_spend(struct bucket *b, double rate, double amount, int64_t now_ms);
/* Milliseconds until no more than `burst` is taken, 0 where no more is. */
int64_t bucket_over(const struct bucket *b, double rate, double burst, int64_t now_ms);
/* True when nothing would be lost by forgetting it. */
bool bucket_full(const struct bucket *b, double rate, int64_t now_ms);

#endif
