/* A request's body on its way in: into memory or into a file, never past its limit. */
#ifndef CNND_BODY_H
#define CNND_BODY_H

#include "base/err.h"
#include "base/str.h"
#include "daemon/people/identity.h"

#include <stddef.h>
#include <stdint.h>

/* Where a body goes. What JSON may take is counted apart, so that whoever holds images keeps nobody from
   submitting. */
enum body_place { BODY_JSON, BODY_IMAGE, BODY_FILE };

struct body_holder;
/* Memory for bodies that go to one place. */
struct body_pool {
        int64_t limit_bytes; /* all requests together */
        int64_t share_bytes; /* one user's requests together, unless an operator's */
        int64_t used_bytes;
        struct body_holder *holders; /* owned: the users whose bodies take some of it now */
};

/* Files open at once, for bodies and for answers. */
struct body_files {
        int64_t limit;       /* all requests together */
        int64_t share;       /* one user's, unless an operator's */
        int64_t share_bytes; /* of one user's bodies that are on their way into files; 0 for no limit */
        int64_t used;
        struct body_holder *holders; /* owned: the users who have some open now */
};

/* What all bodies of the server share. */
struct body_budget {
        const char *tmp_dir;               /* borrowed */
        struct body_pool pools[BODY_FILE]; /* BODY_JSON and BODY_IMAGE */
        struct body_pool answers;          /* what waits to be taken by clients */
        struct body_files files;
};

/* Counts one more open file of `who`. *ret is to be handed to body_close_file; NULL for an operator's.
   ERR_QUOTA at the user's share, ERR_UNAVAILABLE at the limit. */
int body_open_file(
        struct body_files *files, const struct identity *who, struct body_holder **ret, struct err *e);
void body_close_file(struct body_files *files, struct body_holder *holder);

/* Counts an answer of `who` that takes so many bytes of memory until it is sent; *ret is to be handed to
   body_end_answer. One alone goes, however large. ERR_QUOTA at the user's share, ERR_UNAVAILABLE at the
   limit. */
int body_begin_answer(struct body_pool *answers, const struct identity *who, int64_t bytes,
        struct body_holder **ret, struct err *e);
void body_end_answer(struct body_pool *answers, struct body_holder *holder, int64_t bytes);

struct body {
        struct body_budget *budget; /* borrowed */
        const struct identity *who; /* borrowed */
        enum body_place place;
        struct body_holder *holder; /* a share, owned; NULL while it takes nothing, and for operators */
        int64_t limit, received;
        struct str text; /* owned; in memory */
        char *path;      /* owned; in a file, else NULL. Who takes the file sets it to NULL */
        int fd;
};

/* Zero-initialised, then begun. `who` sends it; borrowed. `length` is the announced one, -1 where chunked;
   ERR_TOO_LARGE at once where it passes the limit; for a file what body_open_file returns. */
int body_begin(struct body *b, struct body_budget *budget, const struct identity *who, enum body_place place,
        int64_t limit, int64_t length, struct err *e);
/* Appends. ERR_TOO_LARGE, ERR_QUOTA (the user's share of the memory for bodies, or of what may be on its way
   into files, is used up), ERR_UNAVAILABLE (all of the memory is), ERR_DISK, ERR_IO. */
int body_take(struct body *b, const void *bytes, size_t len, struct err *e);
/* All has come: closes the file. */
int body_end(struct body *b, struct err *e);
/* Frees memory and removes a file that nobody took. */
void body_finish(struct body *b);

#endif
