/* A tensor of numbers in an ONNX file. Source: https://github.com/onnx/onnx (onnx.proto, TensorProto). */
#ifndef CNND_ONNX_TENSOR_H
#define CNND_ONNX_TENSOR_H

#include "base/err.h"
#include "model/protobuf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ONNX_MAX_DIMS = 8 };

/* The values of TensorProto.DataType that are read here. */
enum onnx_type {
        ONNX_F32 = 1,
        ONNX_I32 = 6,
        ONNX_I64 = 7,
        ONNX_F16 = 10,
        ONNX_F64 = 11,
        ONNX_BF16 = 16,
};

/* Numbers in the file. A scalar has no dims and a count of 1. */
struct onnx_tensor {
        int type; /* enum onnx_type, or another that is not read */
        int ndim;
        int64_t dims[ONNX_MAX_DIMS];
        size_t count;
        struct protobuf raw;    /* little-endian; without: */
        struct protobuf packed; /* the numbers as Protocol Buffers pack them */
};
/* All of them into `out`, as floats or whole numbers. ERR_INVALID for a type that is no such one, ERR_SYNTAX
   where there are not as many as the dims say. */
int onnx_tensor_floats(const struct onnx_tensor *t, float *out, struct err *e);
int onnx_tensor_ints(const struct onnx_tensor *t, int64_t *out, struct err *e);

/* Whether numbers of that type are floats. */
bool onnx_type_is_float(int type);
/* ERR_INVALID where its numbers lie in another file. */
int onnx_tensor_parse(struct protobuf m, struct onnx_tensor *ret, struct err *e);

#endif
