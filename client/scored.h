/* The result of a classify job, of any number of images: it lies in a file without a name, what is small of
   it in memory, and columns are read from the file side by side. */
#ifndef CNND_SCORED_H
#define CNND_SCORED_H

#include "client/fetch.h"
#include "client/pull.h"

/* Lists with an entry for each image; after them those with one for each file, and for each class. */
enum scored_column {
        SCORED_LABELS,
        SCORED_PREDICTIONS,
        SCORED_PROBABILITIES,
        SCORED_FILE,
        SCORED_FRAME,
        SCORED_TILE,
        SCORED_IMAGE_COLUMNS,
        SCORED_FILES = SCORED_IMAGE_COLUMNS,
        SCORED_CONFUSION,
        SCORED_COLUMNS
};

/* Of so many names of files the place of one is kept. */
enum { SCORED_STEP = 256 };

struct scored {
        struct path_file *file; /* owned; the answer as it came */
        cJSON *tree;            /* owned; all that is known of it but the columns */
        uint64_t at[SCORED_COLUMNS];
        bool has[SCORED_COLUMNS]; /* there is such a list, at `at` */
        uint64_t files;           /* entries of SCORED_FILES */
        uint64_t *places;         /* owned; of every SCORED_STEP-th of them, from the first on */
};

/* Fetches it and looks at all of it, so that what is read later is JSON. *ret is to be finished. ERR_SYNTAX
   where it is none; otherwise as transfer_spool. */
int scored_fetch(struct fetch *h, int64_t job, struct scored *ret, int *ret_signal, struct err *e);
void scored_finish(struct scored *r);

/* A column that is read from its first entry on. To be finished, where it was opened or not. */
struct scored_reader {
        struct pull pull;
        bool more; /* false before it is opened, where there is no such list, and behind its end */
};
int scored_open(const struct scored *r, enum scored_column column, struct scored_reader *ret, struct err *e);
/* Comes to the next entry, which is then read from `pull`: 1; 0 where there is none. */
int scored_next(struct scored_reader *in, struct err *e);
void scored_close(struct scored_reader *in);

#endif
