/* Images that are sent together, as a zip or a tar. Reads untrusted bytes: for the decoder process only. */
#ifndef CNND_ALBUM_H
#define CNND_ALBUM_H

#include "base/str.h"
#include "daemon/decoder/decode.h"

/* Of one album, MiB of one file and of all floats; what is larger is imported as a data set. */
enum { ALBUM_MAX_FILES = 4096, ALBUM_MAX_MIB = 256, ALBUM_CPU_SECONDS = 10 };

/* Whether a body is one: a tar, plain or gzipped, or a zip whose first file is no .npy (that is an NPZ).
   False where the sender claims something else. */
bool album_is(const void *body, size_t len, const char *media);
/* Reads every file as an image (posted.h), in the archive's order. *ret gets {"files":[{"file","n"}, …]}, or
   {"file","error"} for one that cannot be read; behind `raw` come the floats of all, then a struct
   image_facts of each that can. ERR_INVALID where not one file can be read, ERR_TOO_LARGE past the bounds;
   walk.h's for the archive. */
int album_read(const void *body, size_t len, const struct decode_target *to, cJSON **ret, struct str *raw,
        struct err *e);

/* Of such "files": the images of all and the files that could be read. ERR_INTERNAL for what no decoder says.
   Any process. */
int album_count(const cJSON *files, int *ret_images, int *ret_facts, struct err *e);

#endif
