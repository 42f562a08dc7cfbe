/* What becomes of an image on its way into a model, as a saved model's "preprocessing" tells it; {} is
   nothing:

       {"import":{"size":[64,64],"fit":"resize","normalize":"percentiles"},        recipe.h, of the data set
        "resize":[28,28],                                                          the model's input
        "normalize":{"mean":[0.2860],"std":[0.3530]}}                              normalize.h, of the job */
#ifndef CNND_PREPROCESSING_H
#define CNND_PREPROCESSING_H

#include "base/err.h"
#include "data/recipe.h"
#include "device/tensor.h"
#include "train/normalize.h"

#include <cjson/cJSON.h>

/* JSON text, the caller frees it. NULL when memory is out. */
char *preprocessing_text(const struct recipe *import, const struct normalize *z, struct shape input);
/* And back: `json` NULL or null is {}; another "resize" than the model's input is an error, as are import and
   normalize that are wrong. Pointers start with "/preprocessing". *ret is then freed by normalize_finish. */
int preprocessing_parse(const cJSON *json, struct shape input, struct normalize *ret, struct err *e);
/* The import's part alone, of a text that preprocessing_parse has seen or NULL. */
int preprocessing_recipe(const char *text, struct recipe *ret, struct err *e);

#endif
