/* Is this file the model it says it is? safetensors, or ONNX, which becomes one. Reads untrusted bytes: for
 * the decoder process. */
#ifndef CNND_MODELCHECK_H
#define CNND_MODELCHECK_H

#include "base/err.h"

#include <cjson/cJSON.h>

/* Takes architecture, input (c,h,w), classes and preprocessing (train/preprocessing.h) from `overrides` (NULL
   for none) or else from the file's metadata, and checks that the architecture stands on that input with that
   many classes and that every parameter of it is in the file, in its shape, and nothing else is. On success
   the file is written again in place, whole, with all of this in its metadata and half types widened, so that
   it explains itself from then on. *ret is {"architecture","input","classes","preprocessing"}, preprocessing
   null where the file has none; the caller frees it. ERR_INVALID with the pointer of the field at fault
   ("/architecture/layers/3"), ERR_SYNTAX for a damaged file. */
int modelcheck_file(const char *path, const cJSON *overrides, cJSON **ret, struct err *e);

#endif
