/* An ONNX file as it stands: its nodes, constants, inputs and outputs. Everything borrows the file's bytes.
   What an operator means is onnx_import's business. Source: https://github.com/onnx/onnx (onnx.proto). */
#ifndef CNND_ONNX_GRAPH_H
#define CNND_ONNX_GRAPH_H

#include "base/err.h"
#include "model/onnx_tensor.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ONNX_MAX_NODES = 1 << 16, ONNX_MAX_NAMES = 1 << 20 };

/* A name is a number below `num_names`: that of a value between two nodes. */
struct onnx_op {
        struct protobuf type, name, message;
        const int *inputs, *outputs; /* -1 where one is left out */
        int num_inputs, num_outputs;
};

struct onnx_face {
        int name;
        int type;                    /* of its numbers; 0: the file does not say */
        int ndim;                    /* -1: the file does not say */
        int64_t dims[ONNX_MAX_DIMS]; /* -1: of any size */
};

struct onnx_graph {
        struct protobuf *names; /* owned, sorted; as all below */
        int num_names;
        struct onnx_op *ops;
        int num_ops;
        int *lists;                  /* of the ops' inputs and outputs */
        struct onnx_tensor *tensors; /* of constants */
        int num_tensors;
        int *constants; /* of each name: its tensor, or -1 */
        struct onnx_face *inputs, *outputs;
        int num_inputs, num_outputs;
        uint64_t set;          /* of operators */
        struct protobuf notes; /* the model, for onnx_graph_note */
};
/* ERR_SYNTAX for what is no ONNX file; ERR_INVALID for one beyond this reader: weights in other files,
   functions of its own, more than the bounds above. *ret is zero on failure. */
int onnx_graph_parse(const void *bytes, size_t len, struct onnx_graph *ret, struct err *e);
void onnx_graph_finish(struct onnx_graph *g);
/* Whether a file may be one, by its first bytes: a number of its format first, as all writers do. */
bool onnx_graph_looks(const void *bytes, size_t len);

/* NULL where the name is no constant. */
const struct onnx_tensor *onnx_graph_constant(const struct onnx_graph *g, int name);
/* Of the file's metadata, the last of that name. at NULL where absent. */
struct protobuf onnx_graph_note(const struct onnx_graph *g, const char *key);

/* A node's attributes; `fallback` where absent. A list has at most `most` numbers, else ERR_INVALID; returns
   how many, 0 where it is absent. */
int64_t onnx_op_int(const struct onnx_op *op, const char *name, int64_t fallback);
float onnx_op_float(const struct onnx_op *op, const char *name, float fallback);
struct protobuf onnx_op_text(const struct onnx_op *op, const char *name);
int onnx_op_ints(const struct onnx_op *op, const char *name, int64_t *out, int most, struct err *e);

#endif
