/* Class folders of an archive that hold no image and so did not become classes: the import warns of them. */
#ifndef CNND_VACANT_H
#define CNND_VACANT_H

#include "base/str.h"
#include "data/folders.h"

/* All zero is none. */
struct vacant {
        struct str names; /* owned; of all folders that may be such, each ended by a NUL */
        size_t last;      /* where the last one begins */
};
void vacant_finish(struct vacant *v);

/* A folder that an archive has by itself, or a file in which there is no image: the first `len` bytes of
   `name`, a slash at their end or none. */
void vacant_add(struct vacant *v, const char *name, size_t len);
/* Appends, for people, those where `f` has classes that became none, once divide_classes is done; nothing
   where there are none. */
void vacant_tell(const struct vacant *v, const struct folders *f, const struct intake *in, struct str *out);

#endif
