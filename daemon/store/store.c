#include "daemon/store/store.h"

#include "base/clock.h"
#include "base/log.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BUSY_TIMEOUT_MS = 5000, CHECKPOINT_FRAMES = 1000 };

struct cached {
        const char *sql; /* borrowed literal */
        sqlite3_stmt *st;
};

struct store {
        sqlite3 *db;
        struct cached *cache;
        int cached, cache_room;
        int patience_ms;
        int64_t waited_us; /* for syncs */
        bool stuck;        /* a rollback failed */
};

/* migrations[v] leads from version v to v + 1. */
static const char *const migrations[STORE_VERSION] = {
        "CREATE TABLE jobs("
        " id INTEGER PRIMARY KEY AUTOINCREMENT, type TEXT NOT NULL, name TEXT NOT NULL, user TEXT NOT NULL,"
        " key TEXT, state TEXT NOT NULL, want TEXT NOT NULL, device TEXT, request TEXT NOT NULL,"
        " dataset TEXT NOT NULL, model TEXT, save_as TEXT,"
        " created_at INTEGER NOT NULL, started_at INTEGER, finished_at INTEGER,"
        " epoch REAL NOT NULL, step INTEGER NOT NULL, steps INTEGER NOT NULL,"
        " train_step INTEGER NOT NULL, validation_step INTEGER NOT NULL, checkpoint_step INTEGER NOT NULL,"
        " train_loss REAL, train_acc REAL, val_loss REAL, val_acc REAL, images_per_second REAL,"
        " device_bytes INTEGER NOT NULL, largest_buffer INTEGER NOT NULL, micro_batch INTEGER NOT NULL,"
        " failures INTEGER NOT NULL, events INTEGER NOT NULL, error TEXT);"
        "CREATE INDEX jobs_state ON jobs(state, id);"
        "CREATE UNIQUE INDEX jobs_key ON jobs(user, key) WHERE key IS NOT NULL;"
        "CREATE TABLE events("
        " job INTEGER NOT NULL, id INTEGER NOT NULL, event TEXT NOT NULL, data TEXT NOT NULL,"
        " PRIMARY KEY(job, id)) WITHOUT ROWID;"
        "CREATE TABLE models("
        " name TEXT PRIMARY KEY, generation INTEGER NOT NULL, user TEXT NOT NULL, job INTEGER NOT NULL,"
        " created_at INTEGER NOT NULL, architecture TEXT NOT NULL, c INTEGER NOT NULL, h INTEGER NOT NULL,"
        " w INTEGER NOT NULL, classes TEXT NOT NULL, preprocessing TEXT, metrics TEXT, bytes INTEGER NOT "
        "NULL,"
        " inode INTEGER NOT NULL, mtime_ns INTEGER NOT NULL) WITHOUT ROWID;"
        "CREATE TABLE counters(name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;"
        "INSERT INTO counters VALUES('model_generation', 0);",
        "ALTER TABLE jobs ADD COLUMN note TEXT;",

        /* A data set without a row came with the machine: everybody reads it. */
        "CREATE TABLE tokens("
        " id TEXT PRIMARY KEY, hash BLOB NOT NULL, user TEXT NOT NULL, role TEXT NOT NULL,"
        " created_at INTEGER NOT NULL, expires_at INTEGER, revoked_at INTEGER) WITHOUT ROWID;"
        "CREATE TABLE datasets("
        " name TEXT PRIMARY KEY, user TEXT NOT NULL, bytes INTEGER NOT NULL) WITHOUT ROWID;"
        "CREATE INDEX jobs_user ON jobs(user, id);"
        "CREATE INDEX models_user ON models(user, name);",

        "ALTER TABLE jobs ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;"
        "ALTER TABLE jobs ADD COLUMN device_seconds REAL NOT NULL DEFAULT 0;"
        "CREATE INDEX jobs_line ON jobs(state, priority, user, id, device_bytes, largest_buffer);"
        "CREATE TABLE shares("
        " user TEXT PRIMARY KEY, seconds REAL NOT NULL, at INTEGER NOT NULL) WITHOUT ROWID;",

        "CREATE TABLE strategies(job INTEGER PRIMARY KEY, variants TEXT NOT NULL);",

        /* 1: only for devices that have tf32. */
        "ALTER TABLE jobs ADD COLUMN tf32 INTEGER NOT NULL DEFAULT 0;"
        "DROP INDEX jobs_line;"
        "CREATE INDEX jobs_line ON jobs(state, priority, user, id, device_bytes, largest_buffer, tf32);",

        "CREATE INDEX jobs_user_state ON jobs(user, state, id);"
        /* Of the model that a job saves: it counts among its user's stored bytes before it is there. */
        "ALTER TABLE jobs ADD COLUMN model_bytes INTEGER NOT NULL DEFAULT 0;"
        "CREATE INDEX jobs_saving ON jobs(user, save_as, model_bytes)"
        " WHERE save_as IS NOT NULL AND state IN ('queued', 'running', 'paused');",

        /* Of a job's request and events: it counts among its user's stored bytes. */
        "ALTER TABLE jobs ADD COLUMN kept_bytes INTEGER NOT NULL DEFAULT 0;"
        "UPDATE jobs SET kept_bytes = length(request) + 160 * events;"
        "CREATE INDEX jobs_user_kept ON jobs(user, kept_bytes);",

        /* What the file is known by again; NULL: not known yet. */
        "ALTER TABLE models ADD COLUMN mark TEXT;"
        "ALTER TABLE datasets ADD COLUMN inode INTEGER;"
        "ALTER TABLE datasets ADD COLUMN mtime_ns INTEGER;"
        "ALTER TABLE datasets ADD COLUMN mark TEXT;",

        /* Of a job that keeps its best epoch; NULL: none yet. */
        "ALTER TABLE jobs ADD COLUMN best_epoch REAL;",
};

/* After a sync that failed the kernel may have dropped the pages and call the next sync a success, so nothing
   that this process believes about the file can be trusted: only a start, which reads what is there, can. */
static void stop_if_unsynced(struct store *s, int rc)
{
        if (rc != SQLITE_IOERR_FSYNC && rc != SQLITE_IOERR_DIR_FSYNC)
                return;
        log_line(LOG_ERROR,
                "database: %s: the disk did not take what was written; cnnd stops here and recovers when it "
                "starts",
                sqlite3_errmsg(s->db));
        _exit(EXIT_FAILURE);
}

/* SQLite's own hook for this ignores what the checkpoint returns. Of other failures nothing is lost: the rows
   stand in the log, and the next commit tries again. */
static int checkpoint(void *ctx, sqlite3 *db, const char *name, int frames)
{
        if (frames >= CHECKPOINT_FRAMES)
                stop_if_unsynced(
                        ctx, sqlite3_wal_checkpoint_v2(db, name, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL));
        return SQLITE_OK;
}

static int fail(struct store *s, int rc, const char *what, struct err *e)
{
        int code = ERR_IO, cause = 0;
        stop_if_unsynced(s, rc);
        /* What SQLite says of a file that could not be opened or grow does not tell why. */
        if (s->db && ((rc & 0xFF) == SQLITE_IOERR || (rc & 0xFF) == SQLITE_CANTOPEN))
                cause = sqlite3_system_errno(s->db);
        if ((rc & 0xFF) == SQLITE_FULL || cause == ENOSPC)
                code = ERR_DISK;
        else if ((rc & 0xFF) == SQLITE_BUSY || (rc & 0xFF) == SQLITE_LOCKED)
                code = ERR_UNAVAILABLE;
        else if ((rc & 0xFF) == SQLITE_NOMEM)
                code = ERR_NO_MEMORY;
        return err_set(e, code, "database: %s: %s%s%s", what,
                s->db ? sqlite3_errmsg(s->db) : sqlite3_errstr(rc), cause ? ": " : "",
                cause ? strerror(cause) : "");
}

static int execute(struct store *s, const char *sql, struct err *e)
{
        int rc = sqlite3_exec(s->db, sql, NULL, NULL, NULL);
        return rc == SQLITE_OK ? 0 : fail(s, rc, sql, e);
}

static int run(struct store *s, const char *sql, struct err *e)
{
        sqlite3_stmt *st;
        int rc = store_prepare(s, sql, &st, e);
        return rc ? rc : store_run(s, st, e);
}

/* The ends of a transaction are compiled before the first one begins: they must not want memory. */
static const char begin[] = "BEGIN IMMEDIATE", commit[] = "COMMIT", rollback[] = "ROLLBACK";

static int prepare_ends(struct store *s, struct err *e)
{
        sqlite3_stmt *st;
        int rc = store_prepare(s, begin, &st, e);
        if (rc == 0)
                rc = store_prepare(s, commit, &st, e);
        return rc ? rc : store_prepare(s, rollback, &st, e);
}

int store_version(struct store *s, int *ret, struct err *e)
{
        sqlite3_stmt *st;
        int rc = store_prepare(s, "PRAGMA user_version", &st, e);
        if (rc == 0)
                rc = store_step(s, st, e);
        if (rc < 0)
                return rc;
        *ret = sqlite3_column_int(st, 0);
        sqlite3_reset(st);
        return 0;
}

/* *version leads to the next one; another process may have come first. */
static int migrate_once(struct store *s, int *version, struct err *e)
{
        char pragma[40];
        int now = *version, rc = store_begin(s, e);
        if (rc == 0)
                rc = store_version(s, &now, e);
        if (rc == 0 && now == *version) {
                sqlite3_snprintf(sizeof pragma, pragma, "PRAGMA user_version=%d", now + 1);
                rc = execute(s, migrations[now], e);
                if (rc == 0)
                        rc = execute(s, pragma, e);
                now++;
        }
        if (rc == 0)
                rc = store_commit(s, e);
        if (rc) {
                store_rollback(s);
                return err_wrap(e, "schema version %d", *version + 1);
        }
        *version = now;
        return 0;
}

int store_migrate(struct store *s, struct err *e)
{
        int version = 0, rc = store_version(s, &version, e);
        while (rc == 0 && version < STORE_VERSION)
                rc = migrate_once(s, &version, e);
        if (rc == 0 && version > STORE_VERSION)
                rc = err_set(e, ERR_STATE,
                        "the database has schema version %d, this cnnd knows %d: install the newer cnnd",
                        version, STORE_VERSION);
        return rc;
}

int store_open_as_is(const char *path, struct store **ret, struct err *e)
{
        struct store *s = calloc(1, sizeof *s);
        if (!s)
                return err_set(e, ERR_NO_MEMORY, "no memory for the database");
        int rc = sqlite3_open_v2(path, &s->db,
                SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
                NULL);
        if (rc != SQLITE_OK) {
                rc = fail(s, rc, path, e);
                store_close(s);
                return rc;
        }
        store_set_patience(s, BUSY_TIMEOUT_MS);
        sqlite3_wal_hook(s->db, checkpoint, s);
        rc = execute(s, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON", e);
        if (rc == 0)
                rc = prepare_ends(s, e);
        if (rc) {
                store_close(s);
                return rc;
        }
        *ret = s;
        return 0;
}

int store_open(const char *path, struct store **ret, struct err *e)
{
        struct store *s = NULL;
        int rc = store_open_as_is(path, &s, e);
        if (rc == 0)
                rc = store_migrate(s, e);
        if (rc) {
                store_close(s);
                return rc;
        }
        *ret = s;
        return 0;
}

/* All pages in one step: what is written meanwhile stays out. SQLite's own result of the end hides a step
   that found a lock. */
static int copy_pages(struct store *s, sqlite3 *to)
{
        sqlite3_backup *b = sqlite3_backup_init(to, "main", s->db, "main");
        if (!b)
                return sqlite3_errcode(to);
        int step = sqlite3_backup_step(b, -1), end = sqlite3_backup_finish(b);
        if (end != SQLITE_OK)
                return end;
        return step == SQLITE_DONE ? SQLITE_OK : step == SQLITE_OK ? SQLITE_ERROR : step;
}

static int copy_error(int rc, const char *path, struct err *e)
{
        int code = ERR_IO;
        if ((rc & 0xFF) == SQLITE_FULL)
                code = ERR_DISK;
        else if ((rc & 0xFF) == SQLITE_BUSY || (rc & 0xFF) == SQLITE_LOCKED)
                code = ERR_UNAVAILABLE;
        return err_set(e, code, "%s: %s", path, sqlite3_errstr(rc));
}

static int copy_into(struct store *s, const char *path, struct err *e)
{
        sqlite3 *to = NULL;
        int rc = sqlite3_open_v2(
                path, &to, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
        if (rc == SQLITE_OK)
                rc = sqlite3_busy_timeout(to, s->patience_ms);
        if (rc == SQLITE_OK)
                rc = copy_pages(s, to);
        /* A copy that is in one file and synced when it is closed. */
        if (rc == SQLITE_OK)
                rc = sqlite3_exec(
                        to, "PRAGMA journal_mode=DELETE; PRAGMA wal_checkpoint(TRUNCATE)", NULL, NULL, NULL);
        if (rc != SQLITE_OK)
                rc = copy_error(rc, path, e);
        sqlite3_close(to);
        return rc;
}

int store_backup(struct store *s, const char *path, struct err *e)
{
        int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd < 0)
                return errno == EEXIST ? err_set(e, ERR_EXISTS, "%s exists", path)
                                       : err_errno(e, errno, "%s", path);
        int rc = copy_into(s, path, e);
        if (rc == 0 && fsync(fd) != 0)
                rc = err_errno(e, errno, "%s", path);
        close(fd);
        if (rc)
                unlink(path);
        return rc;
}

void store_set_patience(struct store *s, int ms)
{
        s->patience_ms = ms;
        sqlite3_busy_timeout(s->db, ms);
}

void store_close(struct store *s)
{
        if (!s)
                return;
        for (int i = 0; i < s->cached; i++)
                sqlite3_finalize(s->cache[i].st);
        free(s->cache);
        sqlite3_close(s->db);
        free(s);
}

int store_begin(struct store *s, struct err *e)
{
        return run(s, begin, e);
}

int store_commit(struct store *s, struct err *e)
{
        return run(s, commit, e);
}

void store_rollback(struct store *s)
{
        struct err e;
        for (int i = 0; i < s->cached; i++)
                sqlite3_reset(s->cache[i].st);
        s->stuck = false;
        s->stuck = !sqlite3_get_autocommit(s->db) && run(s, rollback, &e) != 0;
}

/* A transaction that could not be rolled back would take in what is acknowledged by itself. */
static int get_unstuck(struct store *s, struct err *e)
{
        if (s->stuck)
                store_rollback(s);
        return s->stuck ? err_set(e, ERR_UNAVAILABLE, "database: a transaction that failed is still open")
                        : 0;
}

bool store_writing(const struct store *s)
{
        return !sqlite3_get_autocommit(s->db);
}

static int cache_grow(struct store *s, struct err *e)
{
        if (s->cached < s->cache_room)
                return 0;
        int room = s->cache_room ? s->cache_room * 2 : 32;
        struct cached *cache = realloc(s->cache, (size_t)room * sizeof *cache);
        if (!cache)
                return err_set(e, ERR_NO_MEMORY, "no memory for a statement");
        s->cache = cache;
        s->cache_room = room;
        return 0;
}

int store_prepare(struct store *s, const char *sql, sqlite3_stmt **ret, struct err *e)
{
        int rc = get_unstuck(s, e);
        if (rc)
                return rc;
        for (int i = 0; i < s->cached; i++)
                if (s->cache[i].sql == sql) {
                        sqlite3_reset(s->cache[i].st);
                        sqlite3_clear_bindings(s->cache[i].st);
                        *ret = s->cache[i].st;
                        return 0;
                }
        rc = cache_grow(s, e);
        if (rc)
                return rc;
        sqlite3_stmt *st = NULL;
        rc = sqlite3_prepare_v3(s->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &st, NULL);
        if (rc != SQLITE_OK)
                return fail(s, rc, sql, e);
        s->cache[s->cached++] = (struct cached){sql, st};
        *ret = st;
        return 0;
}

int store_step(struct store *s, sqlite3_stmt *st, struct err *e)
{
        int rc = sqlite3_step(st);
        if (rc == SQLITE_ROW)
                return 1;
        if (rc == SQLITE_DONE) {
                sqlite3_reset(st);
                return 0;
        }
        rc = fail(s, rc, sqlite3_sql(st), e);
        sqlite3_reset(st);
        return rc;
}

int store_run(struct store *s, sqlite3_stmt *st, struct err *e)
{
        const int64_t begun_us = clock_now_us(), worked_us = clock_thread_us();
        int rc = store_step(s, st, e);
        sqlite3_reset(st);
        if (!store_writing(s)) /* it was a commit, or one by itself */
                s->waited_us += clock_now_us() - begun_us - (clock_thread_us() - worked_us);
        return rc < 0 ? rc : 0;
}

int64_t store_waited_us(const struct store *s)
{
        return s->waited_us;
}

int store_done(struct store *s, sqlite3_stmt *st, int rc, struct err *e)
{
        int end = sqlite3_reset(st);
        return end == SQLITE_OK ? rc : fail(s, end, sqlite3_sql(st), e);
}

/* SQLITE_STATIC: without a copy nothing can fail but a number that is no parameter. */
void store_bind_text(sqlite3_stmt *st, int i, const char *text)
{
        int rc = sqlite3_bind_text(st, i, text, -1, SQLITE_STATIC);
        assert(rc == SQLITE_OK);
        (void)rc;
}

void store_bind_int(sqlite3_stmt *st, int i, int64_t v)
{
        sqlite3_bind_int64(st, i, v);
}

void store_bind_double(sqlite3_stmt *st, int i, double v)
{
        sqlite3_bind_double(st, i, v);
}

const char *store_text(sqlite3_stmt *st, int column)
{
        if (sqlite3_column_type(st, column) == SQLITE_NULL)
                return NULL;
        const unsigned char *text = sqlite3_column_text(st, column);
        return text ? (const char *)text : "";
}
