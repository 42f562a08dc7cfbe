/* The weights files of a state folder, STATE/models/NAME.safetensors, and what they say of themselves. One
 * thread. */
#ifndef CNND_MODELFILE_H
#define CNND_MODELFILE_H

#include "base/err.h"
#include "daemon/store/mark.h"

#include <stdbool.h>
#include <stdint.h>

/* Whatever is mounted there at the time. */
struct modelfile_home {
        char *dir; /* owned: STATE/models */
};
/* Deletes what a killed process left there half done, but for what modelfile_each and modelfile_went tell
   of. */
int modelfile_open(struct modelfile_home *home, const char *state_dir, struct err *e);
void modelfile_close(struct modelfile_home *home);

/* Metadata of one file, as JSON texts. */
struct modelfile {
        char *architecture, *classes, *preprocessing; /* owned; the last may be NULL */
        int input[3];                                 /* c, h, w */
        int64_t bytes, inode, mtime_ns;
        char mark[MARK_DIGITS + 1];
};
/* ERR_INVALID where a file does not tell what it is. *ret is untouched on error, else freed by
 * modelfile_finish. */
int modelfile_read(const struct modelfile_home *home, const char *name, struct modelfile *ret, struct err *e);
void modelfile_finish(struct modelfile *f);
/* Whether such an error of reading one tells of what is in it, and not of the disk or of what is short. */
bool modelfile_damaged(int code);

/* Its mark alone. */
int modelfile_mark(
        const struct modelfile_home *home, const char *name, char ret[MARK_DIGITS + 1], struct err *e);

/* malloc'ed; NULL when memory is out. */
char *modelfile_path(const struct modelfile_home *home, const char *name);
/* ERR_UNAVAILABLE where there is no such file that can be read, with the reason. */
int modelfile_look(const struct modelfile_home *home, const char *name, struct err *e);
/* At a start: modelfile_remove took it away, and modelfile_settle did not follow. */
bool modelfile_went(const struct modelfile_home *home, const char *name);
/* Makes NAME another name of `file` (a copy where they lie on different file systems), or takes it away,
   atomically and durably; after 0 modelfile_settle follows: it stays so, or what was there before is there
   again. */
int modelfile_place(const struct modelfile_home *home, const char *name, const char *file, struct err *e);
int modelfile_remove(const struct modelfile_home *home, const char *name, struct err *e);
void modelfile_settle(const struct modelfile_home *home, const char *name, bool done);

struct modelfile_stat {
        int64_t bytes, inode, mtime_ns;
        bool unsettled; /* it was placed, and modelfile_settle did not follow */
};
/* Of one. */
int modelfile_about(
        const struct modelfile_home *home, const char *name, struct modelfile_stat *ret, struct err *e);
/* Calls `each` for every model file; non-zero stops and is returned. Without a folder there is none. */
int modelfile_each(const struct modelfile_home *home,
        int (*each)(void *ctx, const char *name, const struct modelfile_stat *file, struct err *e), void *ctx,
        struct err *e);
/* Removes one for good; that there is none is no error. */
int modelfile_discard(const struct modelfile_home *home, const char *name, struct err *e);
/* At a start, at last: forgets what modelfile_went goes by. */
int modelfile_forget(const struct modelfile_home *home, struct err *e);

#endif
