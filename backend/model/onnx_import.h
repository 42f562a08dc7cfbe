/* A network from an ONNX file, as the layers and tensors that this server has, of whatever program wrote it:
   operators up to version 24 that have such layers, in blocks that nest. */
#ifndef CNND_ONNX_IMPORT_H
#define CNND_ONNX_IMPORT_H

#include "base/err.h"
#include "model/safetensors.h"

#include <cjson/cJSON.h>

#include <stddef.h>

struct onnx_reading;
struct onnx_model {
        cJSON *architecture; /* owned; {"layers":[…]} */
        cJSON *normalize;    /* owned: "per_image" or {"mean":[…],"std":[…]}, what the file does to pixels
                                before its first layer; NULL: nothing */
        int input[3];        /* channels, height, width */
        int outputs;         /* classes */
        struct safetensors_tensor *tensors; /* owned; their numbers may be the file's own */
        int count;
        char *classes,
                *preprocessing; /* owned; JSON texts of the file's metadata, as cnnd writes them, or NULL */
        struct onnx_reading *reading; /* owned */
};
/* `input` (channels, height, width) takes the place of what the file says of its input, which may leave sizes
   open; NULL for none. `bytes` are borrowed until onnx_model_finish. ERR_SYNTAX for what is no ONNX file,
   ERR_INVALID for one that is beyond this, telling the operator. *ret is zero on failure. */
int onnx_import(const void *bytes, size_t len, const int input[3], struct onnx_model *ret, struct err *e);
void onnx_model_finish(struct onnx_model *m);

#endif
