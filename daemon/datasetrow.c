#include "daemon/datasetrow.h"

#include <stdio.h>

int datasetrow_set(struct store *s, const char *name, const char *user, int64_t bytes, struct err *e)
{
        sqlite3_stmt *st;
        int rc = store_prepare(
                s, "INSERT OR REPLACE INTO datasets(name, user, bytes) VALUES(?, ?, ?)", &st, e);
        if (rc)
                return rc;
        store_bind_text(st, 1, name);
        store_bind_text(st, 2, user);
        store_bind_int(st, 3, bytes);
        return store_run(s, st, e);
}

int datasetrow_drop(struct store *s, const char *name, struct err *e)
{
        sqlite3_stmt *st;
        int rc = store_prepare(s, "DELETE FROM datasets WHERE name = ?", &st, e);
        if (rc)
                return rc;
        store_bind_text(st, 1, name);
        return store_run(s, st, e);
}

int datasetrow_find(struct store *s, const char *name, char ret_user[IDENTITY_USER_MAX + 1], struct err *e)
{
        sqlite3_stmt *st;
        int rc = store_prepare(s, "SELECT user FROM datasets WHERE name = ?", &st, e);
        if (rc)
                return rc;
        store_bind_text(st, 1, name);
        rc = store_step(s, st, e);
        if (rc > 0)
                snprintf(ret_user, IDENTITY_USER_MAX + 1, "%s", store_text(st, 0));
        return store_done(s, st, rc, e);
}

int datasetrow_each(struct store *s,
        int (*each)(void *ctx, const char *name, const char *user, int64_t bytes), void *ctx, struct err *e)
{
        sqlite3_stmt *st;
        int rc = store_prepare(s, "SELECT name, user, bytes FROM datasets", &st, e);
        while (rc == 0 && (rc = store_step(s, st, e)) > 0) {
                rc = each(ctx, store_text(st, 0), store_text(st, 1), sqlite3_column_int64(st, 2));
                if (rc)
                        return store_done(s, st, rc, e);
        }
        return rc;
}
