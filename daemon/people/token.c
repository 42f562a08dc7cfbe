#include "daemon/people/token.h"

#include "base/clock.h"

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <stdio.h>
#include <string.h>

enum { SECRET_BYTES = TOKEN_SECRET_DIGITS / 2, ID_BYTES = TOKEN_ID_DIGITS / 2, HASH_BYTES = 32 };

static const char prefix[] = "cnnd_";
static const char *const roles[] = {"user", "operator"};

static void to_hex(const unsigned char *bytes, size_t n, char *out)
{
        for (size_t i = 0; i < n; i++)
                snprintf(out + 2 * i, 3, "%02x", bytes[i]);
}

static int hash(const char *secret, unsigned char out[HASH_BYTES], struct err *e)
{
        if (gnutls_hash_fast(GNUTLS_DIG_SHA256, secret, TOKEN_SECRET_DIGITS, out) < 0)
                return err_set(e, ERR_INTERNAL, "SHA-256 cannot be had");
        return 0;
}

static int insert(struct store *s, const char *id, const unsigned char *digest, const struct identity *who,
        int64_t days, struct err *e)
{
        sqlite3_stmt *st;
        int64_t now = clock_wall_ms();
        int rc = store_prepare(s,
                "INSERT INTO tokens(id, hash, user, role, created_at, expires_at) VALUES(?, ?, ?, ?, ?, ?)",
                &st, e);
        if (rc)
                return rc;
        store_bind_text(st, 1, id);
        sqlite3_bind_blob(st, 2, digest, HASH_BYTES, SQLITE_STATIC);
        store_bind_text(st, 3, who->user);
        store_bind_text(st, 4, roles[who->operator]);
        store_bind_int(st, 5, now);
        if (days)
                store_bind_int(st, 6, now + days * 86400000);
        return store_run(s, st, e);
}

int token_add(struct store *s, const struct identity *who, int64_t days, char out[TOKEN_BYTES], struct err *e)
{
        unsigned char id[ID_BYTES], secret[SECRET_BYTES], digest[HASH_BYTES];
        char id_text[TOKEN_ID_DIGITS + 1], secret_text[TOKEN_SECRET_DIGITS + 1];
        if (!identity_name_ok(who->user))
                return err_set(e, ERR_INVALID,
                        "\"%s\" is not a user's name: 1 to %d letters, digits, '.', '_', '-' and '@'",
                        who->user, IDENTITY_USER_MAX);
        if (gnutls_rnd(GNUTLS_RND_KEY, secret, sizeof secret) < 0 ||
                gnutls_rnd(GNUTLS_RND_NONCE, id, sizeof id) < 0)
                return err_set(e, ERR_INTERNAL, "no random numbers can be had");
        to_hex(id, sizeof id, id_text);
        to_hex(secret, sizeof secret, secret_text);
        int rc = hash(secret_text, digest, e);
        if (rc == 0)
                rc = insert(s, id_text, digest, who, days, e);
        if (rc == 0)
                snprintf(out, TOKEN_BYTES, "%s%s_%s", prefix, id_text, secret_text);
        gnutls_memset(secret, 0, sizeof secret);
        gnutls_memset(secret_text, 0, sizeof secret_text);
        return rc;
}

int token_revoke(struct store *s, const char *id, struct err *e)
{
        sqlite3_stmt *st;
        int rc = store_prepare(s,
                "UPDATE tokens SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL RETURNING id", &st, e);
        if (rc)
                return rc;
        store_bind_int(st, 1, clock_wall_ms());
        store_bind_text(st, 2, id);
        rc = store_step(s, st, e);
        if (rc == 0)
                return err_set(e, ERR_NOT_FOUND, "there is no token \"%s\" in force", id);
        while (rc > 0)
                rc = store_step(s, st, e);
        return rc;
}

int token_each(struct store *s, void (*row)(void *ctx, const struct token_row *r), void *ctx, struct err *e)
{
        sqlite3_stmt *st;
        int rc = store_prepare(s,
                "SELECT id, user, role, created_at, expires_at, revoked_at FROM tokens ORDER BY created_at, "
                "id",
                &st, e);
        while (rc == 0 && (rc = store_step(s, st, e)) > 0) {
                const struct token_row r = {.id = store_text(st, 0),
                        .user = store_text(st, 1),
                        .role = store_text(st, 2),
                        .created_ms = sqlite3_column_int64(st, 3),
                        .expires_ms = sqlite3_column_int64(st, 4),
                        .revoked_ms = sqlite3_column_int64(st, 5)};
                row(ctx, &r);
                rc = 0;
        }
        return rc;
}

/* Cuts a token in id and secret; false for what is no token. */
static bool split(const char *token, char id[TOKEN_ID_DIGITS + 1], const char **secret)
{
        if (strlen(token) != TOKEN_BYTES - 1 || strncmp(token, prefix, sizeof prefix - 1) != 0)
                return false;
        token += sizeof prefix - 1;
        snprintf(id, TOKEN_ID_DIGITS + 1, "%s", token);
        *secret = token + TOKEN_ID_DIGITS + 1;
        return token[TOKEN_ID_DIGITS] == '_';
}

int token_check(struct store *s, const char *token, struct identity *ret, struct err *e)
{
        sqlite3_stmt *st;
        char id[TOKEN_ID_DIGITS + 1];
        const char *secret;
        unsigned char digest[HASH_BYTES];
        if (!split(token, id, &secret))
                return err_set(e, ERR_LOGIN, "that is not a token of this server");
        int rc = hash(secret, digest, e);
        if (rc == 0)
                rc = store_prepare(s,
                        "SELECT hash, user, role FROM tokens WHERE id = ?1 AND revoked_at IS NULL"
                        " AND (expires_at IS NULL OR expires_at > ?2)",
                        &st, e);
        if (rc)
                return rc;
        store_bind_text(st, 1, id);
        store_bind_int(st, 2, clock_wall_ms());
        rc = store_step(s, st, e);
        if (rc < 0)
                return rc;
        bool good = rc > 0 && sqlite3_column_bytes(st, 0) == HASH_BYTES &&
                    gnutls_memcmp(sqlite3_column_blob(st, 0), digest, HASH_BYTES) == 0;
        if (good) {
                *ret = (struct identity){.operator= strcmp(store_text(st, 2), roles[1]) == 0};
                snprintf(ret->user, sizeof ret->user, "%s", store_text(st, 1));
        }
        rc = good ? 0 : err_set(e, ERR_LOGIN, "that token is not in force");
        return store_done(s, st, rc, e);
}

bool token_known(struct store *s, const char *user)
{
        sqlite3_stmt *st;
        struct err e;
        int rc = store_prepare(s, "SELECT 1 FROM tokens WHERE user = ? LIMIT 1", &st, &e);
        if (rc == 0) {
                store_bind_text(st, 1, user);
                rc = store_step(s, st, &e);
                sqlite3_reset(st);
        }
        return rc != 0;
}

bool token_any(struct store *s)
{
        sqlite3_stmt *st;
        struct err e;
        int rc = store_prepare(s, "SELECT 1 FROM tokens LIMIT 1", &st, &e);
        if (rc == 0) {
                rc = store_step(s, st, &e);
                sqlite3_reset(st);
        }
        return rc != 0;
}
