/* What every request asks of a model, kept in memory: a row's columns in the form in which they are used. */
#ifndef CNND_MODELFACTS_H
#define CNND_MODELFACTS_H

#include "base/err.h"
#include "data/recipe.h"

#include <stdint.h>

struct model_shape {
        int c, h, w, num_classes;
        struct recipe recipe; /* of what it was trained on */
        int64_t generation;   /* another number whenever the weights are replaced */
};

struct model_facts {
        char *name, *user; /* owned, as all below */
        struct model_shape shape;
        char **classes; /* num_classes names */
};

/* `classes` is the row's JSON text; of `shape` the number of classes is read from it. */
int model_facts_create(const char *name, const char *user, const struct model_shape *shape,
        const char *classes, struct model_facts **ret, struct err *e);
void model_facts_destroy(struct model_facts *f);

/* The few models asked for last. */
enum { MODEL_MEMORY_PLACES = 16 };
struct model_memory {
        struct model_facts *place[MODEL_MEMORY_PLACES]; /* owned; NULL: free */
        int next;                                       /* to be given up */
};
/* NULL for one that is not remembered. */
const struct model_facts *model_memory_find(const struct model_memory *m, const char *name);
/* Takes `f`. */
void model_memory_keep(struct model_memory *m, struct model_facts *f);
void model_memory_clear(struct model_memory *m);

#endif
