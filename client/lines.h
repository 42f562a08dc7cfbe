/* Events as lines for scripts: "step=235 epoch=0.5 loss=0.61 acc=0.77 images_per_second=21000". */
#ifndef CNND_LINES_H
#define CNND_LINES_H

#include "base/err.h"
#include "client/sse.h"

#include <cjson/cJSON.h>

/* Prints an event with its parsed data as words of key=value: the fields of `train` as they are; of
   `validation` with val_ before loss and acc; of `state` as they are; `checkpoint` as checkpoint=STEP; `end`
   as end=STATE; others after event=KIND. Strings that hold anything but plain characters are quoted as JSON
   does; null is nan. To standard output, at once: ERR_IO when nobody reads it. */
int lines_print(const struct event *ev, const cJSON *data, struct err *e);
/* The same as a line of NDJSON. */
int lines_print_json(const struct event *ev, struct err *e);

#endif
