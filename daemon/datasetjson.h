/* What a client reads of a data set's content. */
#ifndef CNND_DATASETJSON_H
#define CNND_DATASETJSON_H

#include "data/dataset.h"

#include <cjson/cJSON.h>

/* Adds "shape" to "import" of the object that datasets_list shows. What memory lacks for is left out. */
void datasetjson_add(cJSON *o, const struct dataset *d);

#endif
