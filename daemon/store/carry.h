/* Files copied to another file system, each by a process of its own, so that nobody waits. One thread. */
#ifndef CNND_CARRY_H
#define CNND_CARRY_H

#include "base/err.h"
#include "daemon/common/children.h"

#include <stdbool.h>

struct carries;
/* Borrows `kids`. NULL when memory is out. */
struct carries *carries_create(struct children *kids);
/* After children_destroy: removes what is half done, calls nobody. NULL accepted. */
void carries_destroy(struct carries *cs);

/* True where `file` lies on another file system than the folder `dir`, so that no link can be made. */
bool carry_needed(const char *file, const char *dir);

/* Called once, from children_run. `path` (taken: removed and freed by the callee) is the copy, whole and
   synced; NULL where `failed` tells why there is none. */
typedef void (*carry_done)(void *ctx, char *path, const struct err *failed);
/* Starts to copy `file`, which stays, into `dir`, under a name that swap_tidy removes. *ret_id is its number,
   above 0. Errors call the file `what`. */
int carry_begin(struct carries *cs, const char *file, const char *dir, const char *what, carry_done done,
        void *ctx, int *ret_id, struct err *e);
/* Ends it: `done` follows, with an error. None of that number: nothing. */
void carry_stop(struct carries *cs, int id);

#endif
