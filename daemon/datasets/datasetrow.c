#include "daemon/datasets/datasetrow.h"

#include <stdio.h>

int datasetrow_set(
        struct store *s, const char *name, const char *user, const struct datasetrow_file *f, struct err *e)
{
        sqlite3_stmt *st;
        int rc = store_prepare(s,
                "INSERT OR REPLACE INTO datasets(name, user, bytes, inode, mtime_ns, mark)"
                " VALUES(?, ?, ?, ?, ?, nullif(?, ''))",
                &st, e);
        if (rc)
                return rc;
        store_bind_text(st, 1, name);
        store_bind_text(st, 2, user);
        store_bind_int(st, 3, f->bytes);
        store_bind_int(st, 4, f->inode);
        store_bind_int(st, 5, f->mtime_ns);
        store_bind_text(st, 6, f->mark);
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
        int (*each)(void *ctx, const char *name, const char *user, const struct datasetrow_file *f),
        void *ctx, struct err *e)
{
        sqlite3_stmt *st;
        int rc = store_prepare(s, "SELECT name, user, bytes, inode, mtime_ns, mark FROM datasets", &st, e);
        while (rc == 0 && (rc = store_step(s, st, e)) > 0) {
                const char *mark = store_text(st, 5);
                struct datasetrow_file f = {.bytes = sqlite3_column_int64(st, 2),
                        .inode = sqlite3_column_int64(st, 3),
                        .mtime_ns = sqlite3_column_int64(st, 4)};
                snprintf(f.mark, sizeof f.mark, "%s", mark ? mark : "");
                rc = each(ctx, store_text(st, 0), store_text(st, 1), &f);
                if (rc)
                        return store_done(s, st, rc, e);
        }
        return rc;
}
