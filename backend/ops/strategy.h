/* Which variant each layer runs in, by direction: what was measured on a device, what a job is bound to.

   A layer is named by its kind, shapes and hyperparameters, and by whether its batch is one block or more:

       conv2d 64x24x24 out_channels=64 kernel_size=3x3 stride=1x1 padding=1x1 groups=1 bias=0 batch>16

   and its variants in the order forward, gradient of the input, gradient of the parameters: "winograd tiled
   winograd". Beside the layers stand the parameters of the device's matrix products by CLBlast, in the form
   of clblast.h, under the name "clblast Xgemm". */
#ifndef CNND_STRATEGY_H
#define CNND_STRATEGY_H

#include "base/err.h"
#include "base/str.h"
#include "device/clblast.h"
#include "ops/op.h"

#include <cjson/cJSON.h>
#include <stdbool.h>

enum { STRATEGY_NAME = 256, STRATEGY_VERSION = 1 };

/* Fills `name`. False where the layer leaves no choice on such a device. */
bool strategy_name(
        const struct op *op, int n, int lanes, const struct dev_info *info, char name[STRATEGY_NAME]);
/* What the layer takes where nothing is known of it. */
void strategy_prefer(const struct op *op, int n, int lanes, const struct dev_info *info,
        enum op_variant ret[OP_DIRECTIONS]);
const char *op_variant_name(enum op_variant v);
const char *op_direction_name(enum op_direction d);

struct strategies;
/* NULL when memory is out. */
struct strategies *strategies_create(void);
void strategies_destroy(struct strategies *s);
int strategies_count(const struct strategies *s); /* layers */
/* Replaces what it holds of this layer. */
int strategies_put(
        struct strategies *s, const char *name, const enum op_variant v[OP_DIRECTIONS], struct err *e);
int strategies_add(struct strategies *s, const struct strategies *more, struct err *e);
bool strategies_find(const struct strategies *s, const char *name, enum op_variant ret[OP_DIRECTIONS]);

/* CLBlast's parameters; NULL where it holds none. */
void strategies_put_clblast(struct strategies *s, const struct clblast_params *p);
const struct clblast_params *strategies_clblast(const struct strategies *s);

/* {"LAYER":"winograd tiled winograd",…}; NULL when memory is out. Reading adds to what is there; ERR_INVALID
   names what is no strategy. */
cJSON *strategies_json(const struct strategies *s);
int strategies_read_json(struct strategies *s, const cJSON *json, struct err *e);
/* The same as lines "LAYER: winograd tiled winograd"; empty ones and what follows a # are passed over.
   ERR_SYNTAX names the line. */
void strategies_print(const struct strategies *s, struct str *out);
int strategies_read(struct strategies *s, const char *text, struct err *e);

/* Adds what is shipped for devices like this one (kernels/tune). */
int strategies_shipped(struct strategies *s, const struct dev_info *info, struct err *e);

#endif
