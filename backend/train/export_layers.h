/* The operators of ONNX that layers are. Only export.c includes this. */
#ifndef CNND_EXPORT_LAYERS_H
#define CNND_EXPORT_LAYERS_H

#include "model/onnx.h"
#include "net/net.h"

enum { EXPORT_NAME = 32 };

/* Where a value is found in the graph. */
struct export_edge {
        char name[EXPORT_NAME]; /* "" before it was written */
        int rank;               /* 4, or 2 where it is (N,C): flattened */
};

struct exporting {
        const struct net *net;
        struct onnx *o;
        struct export_edge *edges; /* of each value */
        int made;                  /* names that were invented */
};

/* Another name than all before. */
void export_invent(struct exporting *x, char ret[EXPORT_NAME]);
/* Writes one node whose inputs are written. ERR_INVALID for a kind of layer that has no form in ONNX. */
int export_layer(struct exporting *x, const struct net_node *node, struct err *e);
/* A value that joins others, which are written. */
int export_join(struct exporting *x, int value, struct err *e);
/* Gives the value's edge this rank, 2 or 4. */
void export_set_rank(struct exporting *x, int value, int rank);

#endif
