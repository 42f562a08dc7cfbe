/* Named architectures: each makes the layers a user could have written out. */
#ifndef CNND_ZOO_H
#define CNND_ZOO_H

#include "base/err.h"
#include "net/net.h"

#include <cjson/cJSON.h>

/* A parameter of a preset beside num_classes. */
struct zoo_param {
        const char *name, *type, *fallback; /* fallback: JSON text */
};

/* A preset builds {"layers":[…]} from its parameters, all of which have defaults. */
struct zoo_preset {
        const char *name, *doc;
        const struct zoo_param *params; /* ended by a NULL name; NULL for none */
        /* `params` holds what a user gave and the defaults for the rest; only names of the table are there,
           their types are the builder's to check (pointers "/arch/0"). `variant` is the preset's own, below.
         */
        int (*build)(const cJSON *params, int variant, int num_classes, cJSON **ret, struct err *e);
        int variant; /* which of a family that shares its builder */
};
extern const struct zoo_preset *const zoo_presets[];
extern const int zoo_presets_count;
/* NULL where no preset is called so. */
const struct zoo_preset *zoo_find(const char *name);

/* A preset's name, {"name":…, parameters} or {"layers":[…]} to {"layers":[…]}; the caller frees *ret.
   `num_classes` is the data set's: the default of presets' num_classes; 0 means 10. A given num_classes that
   differs from it is ERR_INVALID. Pointers start at `architecture`. */
int zoo_expand(const cJSON *architecture, int num_classes, cJSON **ret, struct err *e);

/* The network of an architecture as for zoo_expand; the caller calls net_destroy. Pointers start at
   `architecture`; where a preset's layer does not fit the input, which is nothing that the user wrote, the
   pointer is "" and the message names preset, input and layer. */
int zoo_net(const cJSON *architecture, int num_classes, struct shape input, struct net **ret, struct err *e);

#endif
