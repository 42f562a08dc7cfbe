/* Which file of an archive each image of a data set came from: its section of the file (dataset.h). It lists
   each file once, in the order of the images, so that a million tiles take a few bytes; a look at a data set
   passes it over.

   Section (little-endian): a struct origins_file for each file of the train split, then of the val split,
   then the names, each ended by a NUL. */
#ifndef CNND_ORIGINS_H
#define CNND_ORIGINS_H

#include "data/dataset.h"
#include "data/spool.h"

#include <cjson/cJSON.h>

/* A longer name loses its middle. */
enum { ORIGINS_NAME_MAX = 1024 };

/* Its images: frame by frame, and of each the tiles row by row; 1 of what it has but one. */
struct origins_file {
        uint32_t name_at; /* among the names */
        uint32_t frames, rows, columns;
};
_Static_assert(sizeof(struct origins_file) == 16, "files are laid out without padding");

/* Of one split. */
struct origins {
        const struct origins_file *files; /* borrowed from the data set, as the names are */
        const char *names;
        int count; /* of files; 0 where nobody told */
};

/* Of a data set that is mapped (dataset_open). Every count and name is checked: ERR_SYNTAX for damage. */
int origins_open(const struct dataset *d, enum dataset_split split, struct origins *ret, struct err *e);
/* UTF-8, of 1 to ORIGINS_NAME_MAX bytes; borrowed. */
const char *origins_name(const struct origins *o, int file);
/* How many images came from it. */
uint64_t origins_images(const struct origins_file *f);

/* A section that is put together: files in order, names in the same, then its facts for dataset_write. */
struct origins_draft {
        struct spool spool;
        struct dataset_origins facts;
        uint64_t names; /* bytes of them so far */
};
/* In the folder `dir`. */
int origins_begin(struct origins_draft *o, const char *dir, struct err *e);
/* `name` is what origins_put_name gets later. */
int origins_put_file(struct origins_draft *o, enum dataset_split split, const char *name,
        struct origins_file f, struct err *e);
int origins_put_name(struct origins_draft *o, const char *name, struct err *e);
/* `facts` are whole from now on; what they point to lives until origins_finish. */
int origins_seal(struct origins_draft *o, struct err *e);
/* Also of one that was never begun, if spool.fd is -1. */
void origins_finish(struct origins_draft *o);

/* --- for dataset.c --- */

/* Appends "origins" of the description. */
void origins_describe(struct str *out, const struct dataset_origins *o);
/* NULL is none. ERR_INVALID. */
int origins_parse(const cJSON *json, struct dataset_origins *ret, struct err *e);

#endif
