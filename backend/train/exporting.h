/* The ONNX operators that each layer becomes. Only export.c and the
   exporting_ files include this. */
#ifndef CNND_EXPORTING_H
#define CNND_EXPORTING_H

#include "base/err.h"
#include "model/onnx.h"
#include "net/net.h"

enum { EXPORTING_NAME = 32 };

/* Where a value is found in the graph. */
struct exporting_edge {
        char name[EXPORTING_NAME]; /* "" before it was written */
        int rank;                  /* 4, or 2 where it is (N,C): flattened */
};

struct exporting {
        const struct net *net;
        struct onnx *o;
        struct exporting_edge *edges; /* of each value */
        int made;                     /* names that were invented */
        int64_t numbers;              /* floats that no file holds */
        int rc;                       /* of the first fault, which is in `e` */
        struct err *e;
};

/* Another name than all before. */
void exporting_invent(struct exporting *x, char ret[EXPORTING_NAME]);
/* A constant, of numbers that are copied: all of a file's together are bounded (ERR_INVALID), for a network's
   text is shorter than they. */
void exporting_floats(
        struct exporting *x, const int *dims, int ndim, const float *values, char ret[EXPORTING_NAME]);
/* Writes one node whose inputs are written. ERR_INVALID for a kind of layer that has no form in ONNX. */
void exporting_layer(struct exporting *x, const struct net_node *node);
/* A value that joins others, which are written. */
void exporting_join(struct exporting *x, int value);
/* Gives the value's edge this rank, 2 or 4. */
void exporting_set_rank(struct exporting *x, int value, int rank);

/* The node's result under a name of its own, of this rank. */
const char *exporting_result(struct exporting *x, const struct net_node *node, int rank);
/* An operator without attributes. */
void exporting_simple(
        struct exporting *x, const char *type, const char *name, const char *inputs, const char *output);

/* Layers of numbers one by one. */
void exporting_activation(struct exporting *x, const struct net_node *node);
void exporting_leaky_relu(struct exporting *x, const struct net_node *node);
void exporting_relu6(struct exporting *x, const struct net_node *node);
void exporting_silu(struct exporting *x, const struct net_node *node);
void exporting_gelu(struct exporting *x, const struct net_node *node);

#endif
