#include "daemon/people/access.h"

#include "base/clock.h"
#include "base/log.h"
#include "daemon/people/token.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

/* Names and groups come from a directory service that may be slow, and change seldom. */
enum { KNOWN_USERS = 64, KNOWN_MS = 60000, UNKNOWN_MS = 10000, FREE_MS = 10 };

struct known {
        uid_t uid;
        int64_t until_ms;    /* 0: an empty place */
        struct identity who; /* without a name: as `error` says */
        struct err error;
};

struct access {
        struct access_options o;
        struct known known[KNOWN_USERS];
        int64_t free_until_ms; /* nobody had a token a moment ago */
        uid_t self;
};

int access_create(const struct access_options *o, struct access **ret, struct err *e)
{
        if (!o->loopback && !o->insecure && !o->tls)
                return err_set(e, ERR_INVALID,
                        "other machines reach this address: it needs TLS (tls_cert, tls_key) and tokens, or "
                        "listen"
                        " on 127.0.0.1 and tunnel (ssh -L), or give --insecure");
        if (!o->loopback && !o->insecure && !token_any(o->store))
                return err_set(e, ERR_INVALID,
                        "other machines reach this address, and nobody has a token: `cnnd token add USER` "
                        "first");
        struct access *a = calloc(1, sizeof *a);
        if (!a)
                return err_set(e, ERR_NO_MEMORY, "no memory for access");
        a->o = *o;
        a->self = geteuid();
        *ret = a;
        return 0;
}

void access_destroy(struct access *a)
{
        free(a);
}

/* A directory that fails may take its time, too: it is not asked all the time. */
static void look_up(struct access *a, struct known *place, uid_t uid)
{
        if (place->uid != uid || !place->until_ms)
                *place = (struct known){.uid = uid};
        int rc = identity_of_uid(uid, a->o.operators, &place->who, &place->error);
        place->until_ms = clock_now_ms() + (rc ? UNKNOWN_MS : KNOWN_MS);
        if (rc)
                log_line(LOG_WARN, "%s%s", place->error.message,
                        place->who.user[0] ? "; what it said before holds" : "");
}

int access_peer(struct access *a, uid_t uid, struct identity *ret, struct err *e)
{
        struct known *place = &a->known[uid % KNOWN_USERS];
        if (place->uid != uid || clock_now_ms() >= place->until_ms)
                look_up(a, place, uid);
        if (!place->who.user[0]) {
                *e = place->error;
                return e->code;
        }
        *ret = place->who;
        return 0;
}

/* A server without tokens is asked often; that it has its first is soon seen. */
static bool token_needed(struct access *a)
{
        const int64_t now = clock_now_ms();
        if (now < a->free_until_ms)
                return false;
        if (token_any(a->o.store))
                return true;
        a->free_until_ms = now + FREE_MS;
        return false;
}

static int by_header(struct access *a, const char *text, struct identity *ret, struct err *e)
{
        static const char scheme[] = "Bearer ";
        if (strncasecmp(text, scheme, sizeof scheme - 1) != 0)
                return err_set(e, ERR_LOGIN, "the Authorization known here is a bearer token");
        text += sizeof scheme - 1;
        return token_check(a->o.store, text + strspn(text, " "), ret, e);
}

int access_admit(struct access *a, bool local, uid_t uid, const char *authorization, struct identity *ret,
        struct err *e)
{
        if (authorization)
                return by_header(a, authorization, ret, e);
        if (!local && ((!a->o.loopback && !a->o.insecure) || token_needed(a)))
                return err_set(e, ERR_LOGIN, "a token is needed here; the server's operators give them out");
        return access_peer(a, local ? uid : a->self, ret, e);
}
