/* One layer's JSON to an op's arguments. */
#ifndef CNND_LAYERS_H
#define CNND_LAYERS_H

#include "base/err.h"
#include "ops/op.h"

#include <cjson/cJSON.h>

/* Fills `args` (kind->args_bytes, zeroed by the caller) by the kind's table of fields. `layer` may also hold
   "type" and "name"; anything else is an error. `at` is the layer's own pointer. */
int layers_parse_args(
        const struct op_kind *kind, const cJSON *layer, const char *at, void *args, struct err *e);

/* The table of fields as JSON: [{"name","type","required","default"}…]. NULL when memory is out. */
cJSON *layers_fields_json(const struct op_field *fields);

#endif
