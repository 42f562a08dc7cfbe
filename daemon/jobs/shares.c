#include "daemon/jobs/shares.h"

#include "base/clock.h"
#include "daemon/people/identity.h"
#include "daemon/devices/supervisor.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Less than that is as good as nothing. */
#define FORGOTTEN_SECONDS 0.01

struct share {
        char user[IDENTITY_USER_MAX + 1];
        double seconds; /* as of at_ms */
        int64_t at_ms;  /* wall clock */
};

struct use {
        char user[IDENTITY_USER_MAX + 1]; /* "": the device is free */
        int64_t since_ms;
};

struct shares {
        struct store *store;
        double half_life;
        struct share *list; /* owned */
        int count, room;
        struct use uses[SUPERVISOR_MAX_DEVICES];
};

double shares_faded(double seconds, double half_life_seconds, int64_t age_ms)
{
        return age_ms <= 0 ? seconds : seconds * exp2(-(double)age_ms / 1000 / half_life_seconds);
}

static struct share *find(const struct shares *sh, const char *user)
{
        for (int i = 0; i < sh->count; i++)
                if (strcmp(sh->list[i].user, user) == 0)
                        return &sh->list[i];
        return NULL;
}

/* NULL when memory is out. */
static struct share *add(struct shares *sh, const char *user)
{
        if (sh->count == sh->room) {
                int room = sh->room ? sh->room * 2 : 16;
                struct share *list = realloc(sh->list, (size_t)room * sizeof *list);
                if (!list)
                        return NULL;
                sh->list = list;
                sh->room = room;
        }
        struct share *s = &sh->list[sh->count++];
        *s = (struct share){0};
        snprintf(s->user, sizeof s->user, "%s", user);
        return s;
}

static int read_all(struct shares *sh, int64_t wall_ms, struct err *e)
{
        sqlite3_stmt *st;
        int rc = store_prepare(sh->store, "SELECT user, seconds, at FROM shares", &st, e);
        while (rc == 0 && (rc = store_step(sh->store, st, e)) > 0) {
                double seconds = sqlite3_column_double(st, 1);
                int64_t at_ms = sqlite3_column_int64(st, 2);
                rc = 0;
                if (shares_faded(seconds, sh->half_life, wall_ms - at_ms) < FORGOTTEN_SECONDS)
                        continue;
                struct share *s = add(sh, store_text(st, 0));
                if (!s) {
                        sqlite3_reset(st);
                        return err_set(e, ERR_NO_MEMORY, "no memory for shares");
                }
                s->seconds = seconds;
                s->at_ms = at_ms > wall_ms ? wall_ms : at_ms;
        }
        return rc;
}

int shares_create(struct store *store, double half_life_seconds, struct shares **ret, struct err *e)
{
        struct shares *sh = calloc(1, sizeof *sh);
        if (!sh)
                return err_set(e, ERR_NO_MEMORY, "no memory for shares");
        sh->store = store;
        sh->half_life = half_life_seconds;
        int rc = read_all(sh, clock_wall_ms(), e);
        if (rc) {
                shares_destroy(sh);
                return rc;
        }
        *ret = sh;
        return 0;
}

void shares_destroy(struct shares *sh)
{
        if (!sh)
                return;
        free(sh->list);
        free(sh);
}

void shares_begin(struct shares *sh, int device, const char *user, int64_t now_ms)
{
        struct use *u = &sh->uses[device];
        snprintf(u->user, sizeof u->user, "%s", user);
        u->since_ms = now_ms;
}

void shares_end(struct shares *sh, int device)
{
        sh->uses[device] = (struct use){0};
}

double shares_due(const struct shares *sh, int device, int64_t now_ms)
{
        const struct use *u = &sh->uses[device];
        return u->user[0] && now_ms > u->since_ms ? (double)(now_ms - u->since_ms) / 1000 : 0;
}

/* Seconds stored while the clock was ahead begin to fade once it is right and somebody asks; waiting until it
   is as late again could take for ever. */
static double stored(const struct shares *sh, const char *user, int64_t wall_ms)
{
        struct share *s = find(sh, user);
        if (s && s->at_ms > wall_ms)
                s->at_ms = wall_ms;
        return s ? shares_faded(s->seconds, sh->half_life, wall_ms - s->at_ms) : 0;
}

int shares_store(struct shares *sh, int device, double seconds, int64_t wall_ms, struct err *e)
{
        sqlite3_stmt *st;
        const char *user = sh->uses[device].user;
        int rc = store_prepare(
                sh->store, "INSERT OR REPLACE INTO shares(user, seconds, at) VALUES(?, ?, ?)", &st, e);
        if (rc)
                return rc;
        store_bind_text(st, 1, user);
        store_bind_double(st, 2, stored(sh, user, wall_ms) + seconds);
        store_bind_int(st, 3, wall_ms);
        return store_run(sh->store, st, e);
}

void shares_settle(struct shares *sh, int device, double seconds, int64_t wall_ms)
{
        struct use *u = &sh->uses[device];
        double before = stored(sh, u->user, wall_ms);
        struct share *s = find(sh, u->user);
        if (!s)
                s = add(sh, u->user);
        if (!s)
                return; /* it stays due, and is stored again with what comes */
        s->seconds = before + seconds;
        s->at_ms = wall_ms;
        u->since_ms += (int64_t)(seconds * 1000);
}

double shares_of(const struct shares *sh, const char *user, int64_t now_ms, int64_t wall_ms)
{
        double seconds = stored(sh, user, wall_ms);
        for (int i = 0; i < SUPERVISOR_MAX_DEVICES; i++)
                if (strcmp(sh->uses[i].user, user) == 0)
                        seconds += 1 + shares_due(sh, i, now_ms);
        return seconds;
}
