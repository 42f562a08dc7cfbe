/* The SQLite database of a state folder: connection, schema, transactions, statements. The rows themselves
   belong to the modules that know them (jobrow, jobtx, modelrow, datasetrow, token, shares and others).

   WAL with synchronous=FULL: after store_commit returned 0 the rows survive power loss. A sync that fails
   ends the process (exit status 1, a line in the log). One thread. */
#ifndef CNND_STORE_H
#define CNND_STORE_H

#include "base/err.h"

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

/* Stored in user_version. To raise it: add one entry with the statements that lead from the version before to
   `migrations` in store.c and raise this by one; a database is brought up to date when it is opened, and one
   that is newer than the program is refused. */
enum { STORE_VERSION = 10 };

struct store;
/* Opens or makes `path` and migrates it. ERR_STATE when it is newer than this program. */
int store_open(const char *path, struct store **ret, struct err *e);
/* The two steps of that. Before the second nothing but store_version and store_backup may be asked of it. */
int store_open_as_is(const char *path, struct store **ret, struct err *e);
int store_migrate(struct store *s, struct err *e);
int store_version(struct store *s, int *ret, struct err *e);
/* Copies the database into a new file, durably, while others may write to it: the copy is one moment's.
   ERR_EXISTS when there is such a file. After another error there is none: ERR_UNAVAILABLE when the database
   stays locked, longer than store_set_patience allows. */
int store_backup(struct store *s, const char *path, struct err *e);
/* How long a write waits for another process that writes; 5 s after store_open. Then it is ERR_UNAVAILABLE.
 */
void store_set_patience(struct store *s, int ms);
/* NULL accepted. */
void store_close(struct store *s);

/* One transaction at a time, for writing. After a failed statement or commit call store_rollback. */
int store_begin(struct store *s, struct err *e);
int store_commit(struct store *s, struct err *e);
/* Harmless without a transaction. */
void store_rollback(struct store *s);
/* Microseconds that changes have waited for the disk so far, without what they took of a processor. */
int64_t store_waited_us(const struct store *s);
/* True within a transaction. */
bool store_writing(const struct store *s);

/* Prepares `sql`, once per text: the statement is kept and handed out again, reset and with its parameters
   cleared. `sql` must be a literal (it is compared by address). Borrowed; not to be used recursively. */
int store_prepare(struct store *s, const char *sql, sqlite3_stmt **ret, struct err *e);
/* 1 when a row stands ready, 0 at the end, negative on error (ERR_DISK when the disk is full). */
int store_step(struct store *s, sqlite3_stmt *st, struct err *e);
/* Runs a statement that returns no rows, and resets it. */
int store_run(struct store *s, sqlite3_stmt *st, struct err *e);

/* Binds parameter `i` (from 1); NULL is SQL's NULL. Text is borrowed until the statement has run. */
void store_bind_text(sqlite3_stmt *st, int i, const char *text);
void store_bind_int(sqlite3_stmt *st, int i, int64_t v);
void store_bind_double(sqlite3_stmt *st, int i, double v);
/* A text column of the row, NULL for SQL's NULL; borrowed until the statement is stepped or reset. Where
   memory is out it is "", and the statement's next store_step or store_done fails. */
const char *store_text(sqlite3_stmt *st, int column);
/* Ends reading a statement's rows: resets it. Returns `rc`, or ERR_NO_MEMORY when a column could not be read,
   which explains whatever else went wrong with the row. */
int store_done(struct store *s, sqlite3_stmt *st, int rc, struct err *e);

#endif
