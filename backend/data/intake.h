/* What an import has gathered: sources (a file of an archive, an element of an array) with the samples that
   each gave, later their classes and splits. Samples lie in a spool, one source's behind each other. */
#ifndef CNND_INTAKE_H
#define CNND_INTAKE_H

#include "data/dataset.h"
#include "data/image.h"
#include "data/import.h"
#include "data/spool.h"

enum intake_split { INTAKE_TRAIN, INTAKE_VAL, INTAKE_OPEN /* not said */, INTAKE_OUT /* left out */ };

struct intake_source {
        char *name;             /* owned */
        uint64_t id;            /* as walk.h has it, which tells names apart that are alike; 0 of no file */
        const char *class_name; /* borrowed from `name`'s or the list's owner; NULL where `label` says it */
        int32_t label;          /* -1 as long as it is unknown */
        enum intake_split split;
        uint64_t offset;                /* of its samples in the spool */
        uint32_t samples;               /* 0: a file that is no image; `problem` tells */
        uint32_t frames, rows, columns; /* which are so many frames of so many tiles */
        bool test;                      /* called test where there may be a val, too */
        bool bytes;                     /* u8 samples, else f32 */
        char *problem;                  /* owned */
};

struct intake {
        struct import_options o;
        const struct import_place *place; /* borrowed */
        const struct import_hooks *hooks; /* borrowed */
        struct import_progress progress;
        struct spool spool;
        int c;                         /* of each sample; 0 until the first */
        struct recipe recipe;          /* with the samples' size from the first on */
        struct intake_source *sources; /* owned */
        size_t count, cap;
        uint64_t samples;
        char **classes; /* owned, with the names */
        int num_classes;
        bool in_order; /* sources keep their order; else they are sorted by name */
};

int intake_begin(struct intake *in, const struct import_options *o, const struct import_place *place,
        const struct import_hooks *hooks, struct err *e);
void intake_finish(struct intake *in);

/* Prepares and stores all frames of `im` as one source. ERR_INVALID where it does not fit the options or the
   images before. `name` is copied, *ret (may be NULL) valid until the next one. */
int intake_image(struct intake *in, const char *name, uint64_t id, struct image *im,
        struct intake_source **ret, struct err *e);
/* A file that is no image: an error only if it turns out to be one of a class. */
int intake_failed(struct intake *in, const char *name, uint64_t id, const char *problem, struct err *e);
/* The order of names, of ids where these are alike. Elements are pointers to sources. */
int intake_by_name(const void *a, const void *b);

/* Writes the data set; `source` is for people. */
int intake_write(struct intake *in, const char *source, struct err *e);

#endif
