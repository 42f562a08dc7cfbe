/* Replacing or removing a file whose description is stored elsewhere: the old file is kept until that is
   changed too, and comes back if it cannot be. After a crash in between the change of the file stands, and
   the next start can tell. One thread. */
#ifndef CNND_SWAP_H
#define CNND_SWAP_H

#include "base/err.h"

#include <stdbool.h>

/* Makes dir/name another name of `file` (a copy where they lie on different file systems), atomically and
   durably; after 0 swap_end follows. A failure changes nothing. */
int swap_begin(const char *dir, const char *name, const char *file, struct err *e);
/* Takes dir/name away, durably; that there is none is no error. After 0 swap_end follows, a failure changes
   nothing. */
int swap_away(const char *dir, const char *name, struct err *e);
/* What was begun stays so, or what was there before is there again, durably. */
void swap_end(const char *dir, const char *name, bool stays);

/* At a start. swap_begin was done with dir/name, and swap_end did not follow: nobody has been told of it. It
   stays so, over as many starts as it takes, until who knows whose it is calls swap_end. */
bool swap_came(const char *dir, const char *name);
/* swap_away was, and swap_end did not follow. */
bool swap_went(const char *dir, const char *name);
/* Deletes what a killed process has left half done; with `all`, at last, also what swap_went goes by. That
   there is no such folder is no error; that it cannot be read to its end is. */
int swap_tidy(const char *dir, bool all, struct err *e);

#endif
