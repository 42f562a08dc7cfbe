/* Bearer tokens: "cnnd_" ID "_" SECRET, the id 8 and the secret 64 hexadecimal digits (256 random bits). Only
   the SHA-256 of the secret is stored; as the secret has all the entropy there is, a slow hash would add
   nothing. Hash, random numbers and the comparison are GnuTLS's, which libmicrohttpd brings for TLS.

   Rows are changed by `cnnd token`, in another process than the front's: the front reads them anew for each
   request. One thread. */
#ifndef CNND_TOKEN_H
#define CNND_TOKEN_H

#include "base/err.h"
#include "daemon/people/identity.h"
#include "daemon/store/store.h"

#include <stdbool.h>
#include <stdint.h>

enum {
        TOKEN_ID_DIGITS = 8,
        TOKEN_SECRET_DIGITS = 64,
        TOKEN_BYTES = 5 + TOKEN_ID_DIGITS + 1 + TOKEN_SECRET_DIGITS + 1
};

/* A new token for a user, good for `days` (0: for ever), committed. It is in `out` and nowhere else.
   ERR_INVALID for a name that is none. */
int token_add(
        struct store *s, const struct identity *who, int64_t days, char out[TOKEN_BYTES], struct err *e);
/* A revoked token stays as a row: that there once was one keeps the daemon closed. ERR_NOT_FOUND. */
int token_revoke(struct store *s, const char *id, struct err *e);

struct token_row {
        const char *id, *user, *role;               /* borrowed for the call */
        int64_t created_ms, expires_ms, revoked_ms; /* wall clock; 0: never */
};
/* Calls `row` for every token, the oldest first. */
int token_each(struct store *s, void (*row)(void *ctx, const struct token_row *r), void *ctx, struct err *e);

/* Whose token it is. ERR_LOGIN for one that is unknown, expired or revoked, without saying which. */
int token_check(struct store *s, const char *token, struct identity *ret, struct err *e);
/* True when any token was ever made; true also when the database cannot tell. */
bool token_any(struct store *s);
/* The same for a token of this user. */
bool token_known(struct store *s, const char *user);

#endif
