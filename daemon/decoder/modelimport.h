/* Models of other programs. Reads untrusted bytes: for the decoder process. */
#ifndef CNND_MODELIMPORT_H
#define CNND_MODELIMPORT_H

#include "base/err.h"

#include <cjson/cJSON.h>

/* An ONNX file becomes a safetensors file in its place, with the metadata that modelcheck_file reads: the
   architecture and tensors that model/onnx_import.h finds; the input's size, which may be given in
   `overrides` (NULL for none); classes from there, from the file's metadata as cnnd writes them, or else
   "0", "1", …; preprocessing from there, or else what the file does to pixels before its first layer. Any
   other file is left as it is. ERR_INVALID for an ONNX file that is beyond this, ERR_SYNTAX for a damaged
   one. */
int modelimport_file(const char *path, const cJSON *overrides, struct err *e);

#endif
