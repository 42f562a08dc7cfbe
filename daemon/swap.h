/* A file that takes another's place, or goes, while what is known of it is stored elsewhere: the old one is
   kept until that is done, and comes back where it cannot be. Who is killed between leaves it done. One
   thread. */
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
/* What was begun stays so, or what was there before is there again. */
void swap_end(const char *dir, const char *name, bool stays);
/* At a start: deletes what a killed process has left half done. */
int swap_tidy(const char *dir, struct err *e);

#endif
