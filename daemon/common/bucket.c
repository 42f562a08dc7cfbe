#include "daemon/common/bucket.h"

#include <math.h>

static double taken_at(const struct bucket *b, double rate, int64_t now_ms)
{
        double seconds = now_ms > b->at_ms ? (double)(now_ms - b->at_ms) / 1000 : 0;
        return fmax(0, b->taken - seconds * rate);
}

int64_t bucket_take(struct bucket *b, double rate, double burst, int64_t now_ms)
{
        double taken = taken_at(b, rate, now_ms);
        if (taken + 1 > burst)
                return (int64_t)ceil((taken + 1 - burst) / rate * 1000);
        b->taken = taken + 1;
        b->at_ms = now_ms;
        return 0;
}

void bucket_spend(struct bucket *b, double rate, double amount, int64_t now_ms)
{
        b->taken = taken_at(b, rate, now_ms) + amount;
        b->at_ms = now_ms;
}

int64_t bucket_over(const struct bucket *b, double rate, double burst, int64_t now_ms)
{
        const double over = taken_at(b, rate, now_ms) - burst;
        return over > 0 ? (int64_t)ceil(over / rate * 1000) : 0;
}

bool bucket_full(const struct bucket *b, double rate, int64_t now_ms)
{
        return taken_at(b, rate, now_ms) == 0;
}
