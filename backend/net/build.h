/* What building a network from JSON is made of: the state, and the steps that composite layers (compose.c)
   are written in. All return 0 or set b->e. Only net/ includes this. */
#ifndef CNND_BUILD_H
#define CNND_BUILD_H

#include "base/str.h"
#include "net/net.h"

#include <stdbool.h>

struct builder {
        struct net *net;
        int cap_nodes, cap_values, cap_shared;
        bool *shared; /* owned; of each value: other branches read it too, so no join may take it as its slice
                       */
        struct err *e;
};

/* Where a layer stands: its pointer in the JSON and its name in PyTorch. */
struct place {
        char pointer[NET_POINTER_MAX];
        char name[NET_NAME_MAX];
};

/* A value without a parent; `producer` -1 for none. */
int build_value(struct builder *b, struct shape s, int producer, int *ret);
/* The place of child `index` of a list: `list` is the list's pointer within the composite, `prefix` what
   PyTorch puts before the child's number ("" or "net."). A child with a "name" is an attribute of the
   composite itself. */
int build_place(const struct place *parent, const char *list, const char *prefix, int index,
        const cJSON *layer, struct place *ret, struct err *e);
int build_layer(struct builder *b, const cJSON *layer, const struct place *at, int input, int *ret);
/* A chain of at least one layer. */
int build_list(struct builder *b, const cJSON *layers, const char *list, const char *prefix,
        const struct place *at, int input, int *ret);
/* ERR_INVALID unless `layers` is an array of at least one. */
int build_check_list(const cJSON *layers, const char *list, const struct place *at, struct err *e);
/* A node of a kind that only composites make. */
int build_internal(struct builder *b, const struct op_kind *kind, const char *name, const struct place *at,
        const int *inputs, int num_inputs, int *ret);

/* A layer that holds layers. */
struct composite {
        const char *type;
        int (*build)(struct builder *b, const cJSON *layer, const struct place *at, int input, int *ret);
};
/* NULL where there is none. */
const struct composite *composite_find(const char *type);
/* Appends their types, each behind a blank. */
void composite_list(struct str *out);

#endif
