/* Rows of the table `models`. One thread. */
#ifndef CNND_MODELROW_H
#define CNND_MODELROW_H

#include "base/err.h"
#include "daemon/models/modelfile.h"
#include "daemon/store/store.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The columns of modelrow_find's statement. */
enum modelrow_column {
        MODELROW_NAME,
        MODELROW_GENERATION,
        MODELROW_USER,
        MODELROW_JOB,
        MODELROW_CREATED,
        MODELROW_ARCHITECTURE,
        MODELROW_INPUT, /* c, h, w */
        MODELROW_CLASSES = MODELROW_INPUT + 3,
        MODELROW_PREPROCESSING,
        MODELROW_METRICS,
        MODELROW_BYTES,
        MODELROW_INODE,
        MODELROW_MTIME,
        MODELROW_MARK /* NULL in rows of older versions, until a start has read the file */
};

/* Makes or replaces the row, of a new generation; one that was there keeps its owner. Within the caller's
   transaction or alone, as are the others that change something. */
int modelrow_put(struct store *s, const char *name, const char *user, int64_t job, const char *metrics,
        const struct modelfile *f, struct err *e);
int modelrow_drop(struct store *s, const char *name, struct err *e);
/* Makes it the operators', or one that is theirs that of `user`; the latter is ERR_NOT_FOUND without a row,
   ERR_EXISTS where it has an owner. */
int modelrow_disown(struct store *s, const char *name, struct err *e);
int modelrow_give(struct store *s, const char *name, const char *user, struct err *e);
/* *ret_job: a job of another than `user` that is not over and saves its model under this name; 0 for none. */
int modelrow_awaited(struct store *s, const char *name, const char *user, int64_t *ret_job, struct err *e);
/* The file is the row's, as before, but stands elsewhere; `mark` "" where it is not known. */
int modelrow_set_file(struct store *s, const char *name, const struct modelfile_stat *file, const char *mark,
        struct err *e);
/* 1 with the row of `name` standing ready in *ret (to be reset), ERR_NOT_FOUND without one. */
int modelrow_find(struct store *s, const char *name, sqlite3_stmt **ret, struct err *e);
/* The rows behind the name `after`, by name: those of `user`, or all (NULL). The caller steps and resets
 *ret, whose columns go as far as the bytes. */
int modelrow_after(struct store *s, const char *user, const char *after, sqlite3_stmt **ret, struct err *e);
/* The model object of models.h, of a row that begins with these columns up to the bytes; with `raw` what is
   stored as JSON goes into it as text, which costs next to nothing. It may lack what there was no memory for:
   json_fell_short. */
cJSON *modelrow_json(sqlite3_stmt *st, bool raw);
/* Bytes of the texts that it is made of. */
size_t modelrow_bytes(sqlite3_stmt *st);

#endif
