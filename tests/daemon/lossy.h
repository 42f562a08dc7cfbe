/* A VFS for SQLite that knows what power loss would leave: of each watched file the bytes as of its last
   sync, and the writes since; and that says when others hold locks. One thread. */
#ifndef CNND_LOSSY_H
#define CNND_LOSSY_H

enum lossy_fault { LOSSY_SYNCS, LOSSY_LOG_FAILS, LOSSY_DATABASE_FAILS };

/* SQLite's default VFS from now on; files are not watched yet. 0, or SQLite's code. */
int lossy_install(void);
/* Watches files below `dir` (borrowed) from now on and forgets what it knew; NULL watches none. Close first
   what is open there. */
void lossy_watch(const char *dir);
/* `hook` (NULL for none) runs before each sync of a watched file. */
void lossy_before_sync(void (*hook)(void *ctx), void *ctx);
/* From now on syncs of the write-ahead log, or of the database itself, fail. */
void lossy_set_fault(enum lossy_fault fault);
/* The next `count` locks of files, watched or not, are held by somebody else. */
void lossy_take_locks(int count);
/* Syncs of databases, not of their logs, since lossy_watch. */
int lossy_database_syncs(void);
/* Writes into `dir` what power loss now could leave of the watched files: their synced bytes, and of each
   sector (512 bytes) written since either the new bytes or the old ones, as `seed` says. 0 or -1. */
int lossy_image(const char *dir, unsigned seed);

#endif
