/* A request's body on its way in: into memory or into a file, never past its limit. */
#ifndef CNND_BODY_H
#define CNND_BODY_H

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What all bodies of the server share. */
struct body_budget {
        const char *tmp_dir; /* borrowed */
        int64_t limit_bytes; /* of bodies in memory, all requests together */
        int64_t used_bytes;
        int64_t file_limit; /* of files open at once, for bodies and for answers */
        int64_t files;
};

/* Counts one more open file. ERR_UNAVAILABLE at the limit. */
int body_open_file(struct body_budget *budget, struct err *e);
void body_close_file(struct body_budget *budget);

struct body {
        struct body_budget *budget; /* borrowed */
        int64_t limit, received;
        struct str text; /* owned; in memory */
        char *path;      /* owned; in a file, else NULL. Who takes the file sets it to NULL */
        int fd;
        bool to_file;
};

/* Zero-initialised, then begun. `length` is the announced one, -1 where chunked; ERR_TOO_LARGE at once where
   it passes the limit. */
int body_begin(struct body *b, struct body_budget *budget, bool to_file, int64_t limit, int64_t length,
        struct err *e);
/* Appends. ERR_TOO_LARGE, ERR_UNAVAILABLE (memory for bodies used up), ERR_DISK, ERR_IO. */
int body_take(struct body *b, const void *bytes, size_t len, struct err *e);
/* All has come: closes the file. */
int body_end(struct body *b, struct err *e);
/* Frees memory and removes a file that nobody took. */
void body_finish(struct body *b);

#endif
