/* The regular files and folders of a zip or of a tar (plain or gzipped), one after the other. Nothing is
   written and no name is ever opened: names are texts that tell which class a file belongs to.

   Passed over: links, devices, names with a ".." in them, and what file managers leave behind (names that
   begin with a dot; __MACOSX, Thumbs.db, ehthumbs.db, desktop.ini and @eaDir in any case). Leading slashes,
   "." and doubled slashes are dropped, control characters become '?', and what is too long loses its middle.
   Names that are not UTF-8 are taken for the code page 437 in a zip, for Latin-1 in a tar.

   The checksums of zip and gzip are held against the content. A tar has none, but must end in zeros: one that
   was cut off between two files is not taken for whole. */
#ifndef CNND_WALK_H
#define CNND_WALK_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { WALK_NAME_MAX = 4096 /* more than Linux opens */, WALK_MAX_FILES = 1 << 20 };
#define WALK_MAX_BYTES ((uint64_t)4 << 30) /* of one file */
/* A larger file that is packed this well is a bomb: ERR_TOO_LARGE. */
enum { WALK_DENSE_BYTES = 32 << 20, WALK_DENSE_RATIO = 512 };

struct walk;

struct walk_file {
        char name[WALK_NAME_MAX + 1]; /* "train/particle/a.png" */
        uint64_t id;                  /* a hash of the name before it was made safe: two may be alike after */
        uint64_t size;
        bool folder; /* without content */
};

/* ERR_MEDIA where the content is neither zip nor tar. `ratio` is how many bytes one byte of the archive may
   unpack to at most, all files together: DEFLATE_RATIO where it is no test. */
int walk_open(const char *path, uint64_t ratio, struct walk **ret, struct err *e);
/* The same for an archive in memory, which is borrowed until walk_close. */
int walk_open_bytes(const void *bytes, size_t len, uint64_t ratio, struct walk **ret, struct err *e);
/* NULL accepted. */
void walk_close(struct walk *w);
/* Name and id of the file that a list calls `path`, which is changed; false for one that is passed over. */
bool walk_clean(char *path, struct walk_file *ret);
/* 1 and the next file or folder, 0 at the end. ERR_SYNTAX for damage, ERR_INVALID for what is encrypted or
   packed otherwise than deflated, ERR_TOO_LARGE past the bounds, in what is passed over, too. */
int walk_next(struct walk *w, struct walk_file *ret, struct err *e);
/* The first bytes of that file, WALK_PEEK or all of a shorter one, before walk_read; borrowed until the next
 * file. */
enum { WALK_PEEK = 1 << 12 };
int walk_peek(struct walk *w, const void **ret, size_t *ret_len, struct err *e);
/* The bytes of the file that walk_next found; the caller frees *ret. Once a file. */
int walk_read(struct walk *w, void **ret, size_t *ret_len, struct err *e);
/* Of the archive, read so far. */
uint64_t walk_bytes(const struct walk *w);
/* "zip" or "tar", once a file was found. */
const char *walk_kind(const struct walk *w);

#endif
