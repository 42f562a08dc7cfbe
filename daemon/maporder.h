/* The front's side of a class map: what the decoder sent for it, what goes to the worker. One thread. */
#ifndef CNND_MAPORDER_H
#define CNND_MAPORDER_H

#include "base/chan.h"
#include "base/err.h"
#include "daemon/classify.h"
#include "daemon/models.h"

/* Whether the decoder's answer is an image of `c` channels that such windows can be cut from. ERR_INVALID as
   windows_layout, ERR_INTERNAL for an answer that cannot be read. */
int maporder_check(const struct classify_map *map, int c, const struct chan_message *m, struct err *e);
/* Adds to `head` what worker.h says of a map. `image` is the decoder's description. */
int maporder_fill(const struct classify_map *map, struct models *ms, const char *model, const cJSON *image,
        int c, cJSON *head, struct err *e);

#endif
