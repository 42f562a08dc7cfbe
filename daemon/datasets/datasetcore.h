/* Internals of `struct datasets`, for datasets.c and the dataset*.c files only; datasets.h is the public
   part. */
#ifndef CNND_DATASETCORE_H
#define CNND_DATASETCORE_H

#include "daemon/datasets/datasetrow.h"
#include "daemon/datasets/datasets.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

enum entry_state { ENTRY_READY, ENTRY_IMPORTING, ENTRY_FAILED, ENTRY_MISSING };

struct entry {
        struct datasets *home; /* borrowed */
        struct entry *next;    /* by name */
        char name[DATASET_NAME_MAX + 1];
        char user[IDENTITY_USER_MAX + 1]; /* its owner, "" for none */
        bool unsettled;                   /* no row tells whose it is */
        bool other;                       /* its file is known to be another one than its row's */
        bool moved;                       /* at the start: the file is not as its row's was left, */
        char mark[MARK_DIGITS + 1];       /* which has this mark, or "" */
        enum entry_state state;
        struct dataset *data; /* owned; of a ready one */
        struct err error;     /* of a failed or missing one */
        bool again;           /* its import is not the start's */
        int64_t failed_ms;    /* when it failed, 0: it is no known one's import that did, */
        int64_t look_ms;      /* when room is looked for next, */
        uint64_t room;        /* and how much there was */
};

struct datasets {
        char *state_dir;       /* owned */
        struct children *kids; /* borrowed, as is the store */
        struct store *store;
        struct entry *list;
        int64_t pause_ms; /* between looks for room */
};

/* Behind each data set's name. */
extern const char datasetcore_suffix[];

/* What swap.h wants to know. */
void datasetcore_place(
        const struct datasets *ds, const char *name, char folder[PATH_MAX], char file[NAME_MAX + 1]);
/* What a row has of the file at `path`, which is `d`, or nothing that can be read (NULL). */
int datasetcore_file(const char *path, const struct dataset *d, struct datasetrow_file *ret, struct err *e);
/* NULL for none. */
struct entry *datasetcore_find(const struct datasets *ds, const char *name);
/* A new one, ready without data; NULL when memory is out. */
struct entry *datasetcore_add(struct datasets *ds, const char *name, struct err *e);
/* Frees it. */
void datasetcore_drop(struct datasets *ds, struct entry *en);
/* Looks at the entry's file; what is wrong with it stays in the entry. */
void datasetcore_load(struct entry *en);
/* The file of one that was missing may be there again. */
void datasetcore_look(struct entry *en);
/* Whether the file is what comes with the machine, and not one of that name. */
bool datasetcore_known(const struct entry *en);

#endif
