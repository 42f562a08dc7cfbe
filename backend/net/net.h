/* A network: layers from JSON as a graph of ops in topological order. Pure data, no device.

   Values are what flows between layers. A value may be a slice of another one (`parent`, `channel`): a
   flattened view, or a part of a joined tensor into which its producer writes directly. Parameters lie one
   behind the other in one flat block, those that are trained first, so that an optimizer step is one kernel.
 */
#ifndef CNND_NET_H
#define CNND_NET_H

#include "base/err.h"
#include "ops/op.h"

#include <cjson/cJSON.h>

enum { NET_NAME_MAX = 120, NET_POINTER_MAX = 160, NET_MAX_LAYERS = 4096 };
/* Parameters start at multiples of this many floats in the flat block. */
enum { NET_PARAM_ALIGN = 32 };

struct net_value {
        struct shape s;
        int producer;        /* node, -1 for the network's input */
        int parent, channel; /* the value it is a slice of and the first channel there; -1 where it stands
                                alone */
        char *block;         /* owned; of a joined value: the layer that joins it; NULL of any other */
};

struct net_node {
        struct op *op;                 /* owned */
        char name[NET_NAME_MAX];       /* "net.0.1", PyTorch's prefix of its parameters */
        char pointer[NET_POINTER_MAX]; /* of its layer in the JSON, "/layers/0/layers/1" */
        int inputs[OP_MAX_INPUTS];     /* values */
        int output;                    /* value */
        int first_param;               /* index into params; op->num_params of them */
        int twin;                      /* the first node whose op differs in nothing; may be this one */
        bool frozen;                   /* its parameters stay as they are: net_freeze */
};

struct net_param {
        char name[NET_NAME_MAX + 24]; /* "net.0.weight" */
        int node;                     /* that it belongs to */
        const struct op_param *spec;  /* borrowed from the op */
        bool trained;                 /* trainable and not frozen */
        uint64_t offset, count;       /* floats, in the flat block */
};

struct net {
        struct net_node *nodes; /* owned */
        int num_nodes;
        struct net_value *values; /* owned; values[0] is the input */
        int num_values;
        int output;               /* value: the logits */
        struct net_param *params; /* owned, in the order of layers */
        int num_params;
        uint64_t trainable_floats; /* the flat block's first part: all parameters that are trained */
        uint64_t param_floats;     /* all of the flat block */
        uint64_t parameters;       /* trainable numbers, without alignment: what PyTorch counts */
};

/* `architecture` is {"layers":[…]}; pointers in errors start there. The last layer must give (classes,1,1).
 */
int net_create(const cJSON *architecture, struct shape input, struct net **ret, struct err *e);
void net_destroy(struct net *net);
/* Freezes the layer called `prefix` and all below it ("net.0" means net.0 and net.0.1, not net.01) and moves
   their parameters out of the block's first part: before plans are made. Returns how many layers that were.
 */
int net_freeze(struct net *net, const char *prefix);
/* Finds each node's twin. */
int net_find_twins(struct net *net, struct err *e);
/* Lays the parameters out in the flat block: those that are trained first, both in the order of layers. */
void net_place_params(struct net *net);
/* Forward FLOPs of one sample. */
int64_t net_flops(const struct net *net);
/* The value that owns the memory of `value`, and the channel at which it starts there. */
int net_root(const struct net *net, int value, int *ret_channel);

#endif
