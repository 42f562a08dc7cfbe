/* Names given by users and archives, in UTF-8: shortened, and normalised. */
#ifndef CNND_NAME_H
#define CNND_NAME_H

#include <stddef.h>

/* `name` into `out` (most + 1 bytes), where it is longer than `most` without its middle, for which an
   ellipsis stands: how it begins tells the class, how it ends the file. Returns the bytes. */
size_t name_cut(const char *name, size_t most, char *out);

/* As one spelling: Unicode's normalization form C, and spaces of all kinds as U+0020. macOS writes "ö" as two
   characters, others as one. What has characters that nobody can see is left as it is. The caller frees it;
   NULL when memory is out. */
char *name_normal(const char *name);

#endif
