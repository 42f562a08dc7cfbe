/* A stored model as an ONNX file: what an image of pixels in 0..1 goes through from the normalisation on.

   Its input is "input" (N,C,H,W), its outputs are "logits" and "probabilities" (N,classes), as those of /v2.
   The parameters keep their names and bits; they are not copied but read out of the model's file as it is
   sent. The names of the classes, the size of the input and the preprocessing stand in the file's metadata as
   JSON. */
#ifndef CNND_EXPORT_H
#define CNND_EXPORT_H

#include "base/err.h"
#include "model/onnx.h"
#include "model/safetensors.h"
#include "train/saved.h"

/* Of the model `name` in the file `st`, which `model` is read from; *ret_size is the ONNX file's, whose bytes
   in pieces are those of the file of `st`. onnx_free is the caller's, on error too. ERR_INVALID where a
   parameter is missing, has another shape or is not of 32 bits, where what ONNX has no form for would take
   too many numbers, and by onnx_finish. */
int export_model(const char *name, const struct saved *model, const struct safetensors *st, struct onnx *o,
        uint64_t *ret_size, struct err *e);

#endif
