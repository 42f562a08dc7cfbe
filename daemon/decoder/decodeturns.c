#include "daemon/decoder/decodeturns.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { HALF_LIFE_MS = 60000 };

void decode_turns_finish(struct decode_turns *t)
{
        for (int i = 0; i < DECODE_TURNS_USERS; i++)
                free(t->users[i].user);
        *t = (struct decode_turns){0};
}

static double faded(const struct decode_turn *u, int64_t now_ms)
{
        return u->seconds * exp2(-(double)(now_ms - u->at_ms) / HALF_LIFE_MS);
}

static const struct decode_turn *find(const struct decode_turns *t, const char *user)
{
        for (int i = 0; i < DECODE_TURNS_USERS; i++)
                if (t->users[i].user && strcmp(t->users[i].user, user) == 0)
                        return &t->users[i];
        return NULL;
}

double decode_turns_of(const struct decode_turns *t, const char *user, int64_t now_ms)
{
        const struct decode_turn *u = find(t, user);
        return u ? faded(u, now_ms) : 0;
}

/* A free place, or that of who has had least. */
static struct decode_turn *least(struct decode_turns *t, int64_t now_ms)
{
        struct decode_turn *best = &t->users[0];
        for (int i = 0; i < DECODE_TURNS_USERS && best->user; i++)
                if (!t->users[i].user || faded(&t->users[i], now_ms) < faded(best, now_ms))
                        best = &t->users[i];
        return best;
}

void decode_turns_add(struct decode_turns *t, const char *user, double seconds, int64_t now_ms)
{
        const double before = decode_turns_of(t, user, now_ms);
        struct decode_turn *u = (struct decode_turn *)find(t, user);
        if (!u) {
                char *name = strdup(user);
                if (!name)
                        return;
                u = least(t, now_ms);
                free(u->user);
                u->user = name;
        }
        u->seconds = before + seconds;
        u->at_ms = now_ms;
}
