/* A few models that stay on the device between classifications. The engine thread alone uses it. */
#ifndef CNND_LOADED_H
#define CNND_LOADED_H

#include "base/err.h"
#include "device/dev.h"
#include "train/infer.h"

#include <stdbool.h>
#include <stdint.h>

enum { LOADED_MAX = 4 };

struct loaded;
/* Borrows `d` and its `known` strategies; lives as long as its process. NULL when memory is out. */
struct loaded *loaded_create(struct dev *d, const struct strategies *known);
/* The model of `path` in its generation, read if it is not there yet in place of the one unused for longest.
   When the device's memory is out, the others go first. Borrowed until the next call, but for
   loaded_make_room. */
int loaded_get(struct loaded *l, const char *path, int64_t generation, struct infer **ret, struct err *e);
/* Gives their device memory back. */
void loaded_drop(struct loaded *l);
/* After something came to `rc`: where it wanted device memory, all models but `spared` (NULL for none) go.
   True when some did, so that it is worth another try: a model takes memory for a number of images when it is
   first asked for so many, long after it was read. */
bool loaded_make_room(struct loaded *l, const struct infer *spared, int rc);

#endif
