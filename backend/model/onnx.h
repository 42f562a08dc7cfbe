/* The ONNX format: a graph of operators with its weights, as inference engines read it. Written alone,
   operators of set 17. Source: https://github.com/onnx/onnx (onnx.proto, docs/Operators.md).

   Tensors whose numbers lie in another file already are not copied: what is made here is the text around
   them, and onnx_read puts both together, at any place, so that a file of any size is sent as it is asked
   for. */
#ifndef CNND_ONNX_H
#define CNND_ONNX_H

#include "base/err.h"
#include "base/str.h"

#include <stdint.h>
#include <sys/types.h>

/* Readers of Protocol Buffers take no message that is longer. */
#define ONNX_MAX_BYTES ((uint64_t)INT32_MAX)

/* Between the text before `text_end` and what follows it stand bytes of the other file. */
struct onnx_piece {
        size_t text_end;
        uint64_t offset, bytes; /* in the other file */
        uint64_t start;         /* of the text of this piece, in the ONNX file */
};

/* All zero is a graph without anything. */
struct onnx {
        struct str nodes, faces, metadata; /* fields of the graph, and of the model */
        struct str text;                   /* the weights', at last the whole file's */
        struct onnx_piece *pieces;         /* owned */
        int count, cap;
        uint64_t weights; /* bytes in other files */
        bool failed;      /* memory was out */
};
void onnx_free(struct onnx *o);

/* An operator. `inputs` are names with spaces between. Attributes go between begin and end; the text is one
   node's at a time. */
struct onnx_node {
        struct str fields;
};
struct onnx_node onnx_begin(const char *type, const char *name, const char *inputs, const char *output);
void onnx_int(struct onnx_node *n, const char *attribute, int64_t value);
void onnx_ints(struct onnx_node *n, const char *attribute, const int *values, int count);
void onnx_float(struct onnx_node *n, const char *attribute, float value);
void onnx_end(struct onnx *o, struct onnx_node *n);

/* Constants: floats that are copied, whole numbers, and floats in another file. */
void onnx_floats(struct onnx *o, const char *name, const int *dims, int ndim, const float *values);
void onnx_longs(struct onnx *o, const char *name, const int *values, int count);
void onnx_stored(
        struct onnx *o, const char *name, const int *dims, int ndim, uint64_t offset, uint64_t bytes);

/* Tensors of floats that go in or come out, the first side of any size. */
void onnx_input(struct onnx *o, const char *name, const int *dims, int ndim);
void onnx_output(struct onnx *o, const char *name, const int *dims, int ndim);
void onnx_note(struct onnx *o, const char *key, const char *value);

/* The whole: nothing is added after. *ret_size is the file's. ERR_INVALID beyond ONNX_MAX_BYTES. */
int onnx_finish(struct onnx *o, const char *graph, const char *doc, uint64_t *ret_size, struct err *e);

/* Up to `max` bytes of the file from `at` on; `fd` is the other file. 0 at the end; -1 with errno, ENODATA
   where the other file ends too soon. */
ssize_t onnx_read(const struct onnx *o, int fd, uint64_t at, void *out, size_t max);

#endif
