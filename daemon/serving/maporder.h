/* The front's side of a class map: what the decoder sent for it, what goes to the worker. One thread. */
#ifndef CNND_MAPORDER_H
#define CNND_MAPORDER_H

#include "base/err.h"
#include "daemon/serving/classify.h"
#include "daemon/models/models.h"
#include "daemon/decoder/imagefacts.h"

/* Whether the `bytes` of floats are an image of `c` channels that such windows can be cut from. ERR_INVALID
   as windows_layout, ERR_INTERNAL for an answer that cannot be read. */
int maporder_check(
        const struct classify_map *map, int c, const struct image_facts *facts, size_t bytes, struct err *e);
/* Adds to `head` what worker.h says of a map. */
int maporder_fill(const struct classify_map *map, struct models *ms, const char *model,
        const struct image_facts *facts, int c, cJSON *head, struct err *e);

#endif
