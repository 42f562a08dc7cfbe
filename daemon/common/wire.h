/* JSON forms of what front and children tell each other: errors, devices. Any thread. */
#ifndef CNND_WIRE_H
#define CNND_WIRE_H

#include "base/err.h"
#include "device/dev.h"

#include <cjson/cJSON.h>
#include <stdint.h>

/* Classes of a data set that a model is scored on, at most: a larger confusion matrix has more cells than
   anybody reads. */
enum { WIRE_MAX_SCORED = 2000 };

/* Fields of a message's head: "" where there is no string, 0 where there is no whole number within 2^53. */
const char *wire_text(const cJSON *head, const char *key);
int64_t wire_int(const cJSON *head, const char *key);

/* A text that a message is to have: borrowed from the head. ERR_INTERNAL where it is not there. */
int wire_need_text(const cJSON *head, const char *key, const char **ret, struct err *e);
/* The same for a number of 0 or more. */
int wire_need_number(const cJSON *head, const char *key, double *ret, struct err *e);

/* {"done","windows"} of the class map in hand, null where there are no windows. NULL when memory is out. */
cJSON *wire_map_json(int64_t done, int64_t windows);

/* {"code","cl","pointer","message","log"}. NULL when memory is out. */
cJSON *wire_error_json(const struct err *error);
/* Fills *ret from `o`; anything unreadable becomes ERR_INTERNAL. Returns ret->code, which is never 0. */
int wire_error_read(const cJSON *o, struct err *ret);

/* Every field of dev_info by its name that the front needs. NULL when memory is out. */
cJSON *wire_device_json(const struct dev_info *info);
/* ERR_INVALID for an id that is no "platform:device", and for sizes that no device has. */
int wire_device_read(const cJSON *o, struct dev_info *ret, struct err *e);

#endif
