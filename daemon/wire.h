/* JSON forms of what front and children tell each other: errors, devices. Any thread. */
#ifndef CNND_WIRE_H
#define CNND_WIRE_H

#include "base/err.h"
#include "device/dev.h"

#include <cjson/cJSON.h>

/* {"code","cl","pointer","message","log"}. NULL when memory is out. */
cJSON *wire_error_json(const struct err *error);
/* Fills *ret from `o`; anything unreadable becomes ERR_INTERNAL. Returns ret->code, which is never 0. */
int wire_error_read(const cJSON *o, struct err *ret);

/* Every field of dev_info by its name. NULL when memory is out. */
cJSON *wire_device_json(const struct dev_info *info);
int wire_device_read(const cJSON *o, struct dev_info *ret, struct err *e);

#endif
