/* Named architectures: each makes the layers a user could have written out. */
#ifndef CNND_ZOO_H
#define CNND_ZOO_H

#include "base/err.h"
#include "net/net.h"

#include <cjson/cJSON.h>

/* A preset builds {"layers":[…]} from its parameters, all of which have defaults. */
struct zoo_preset {
        const char *name, *doc;
        const char *parameters; /* their names, separated by blanks */
        /* `params` is the object a user gave (checked: only known names) or NULL. NULL when memory is out. */
        int (*build)(const cJSON *params, int num_classes, cJSON **ret, struct err *e);
};
extern const struct zoo_preset *const zoo_presets[];
extern const int zoo_presets_count;

/* A preset's name, {"name":…, parameters} or {"layers":[…]} to {"layers":[…]}; the caller frees *ret.
   `num_classes` is the data set's: the default of presets' num_classes; 0 means 10. A given num_classes that
   differs from it is ERR_INVALID. Pointers start at `architecture`. */
int zoo_expand(const cJSON *architecture, int num_classes, cJSON **ret, struct err *e);

/* The network of an architecture as for zoo_expand; the caller calls net_destroy. Pointers start at `architecture`;
   where a preset's layer does not fit the input, which is nothing that the user wrote, the pointer is "" and the
   message names preset, input and layer. */
int zoo_net(const cJSON *architecture, int num_classes, struct shape input, struct net **ret, struct err *e);

/* Writing layers. Each appends to the array `layers` and returns the new layer, to which fields may be added;
   cJSON's own NULL-tolerance carries an allocation failure to the end, where `zoo_done` reports it. */
cJSON *zoo_layer(cJSON *layers, const char *type);
cJSON *zoo_conv(cJSON *layers, int out_channels, int kernel_size, int stride, int padding);
cJSON *zoo_pool(cJSON *layers, const char *type, int kernel_size, int stride, int padding);
cJSON *zoo_linear(cJSON *layers, int out_features);
/* {"layers": layers}; `layers` is taken. */
int zoo_done(cJSON *layers, cJSON **ret, struct err *e);

#endif
