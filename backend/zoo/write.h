/* Writing layers as JSON. Each call appends to the array `layers` and returns the new layer, to which fields
   may be added; cJSON's own NULL-tolerance carries an allocation failure to the end, where zoo_done reports
   it. */
#ifndef CNND_WRITE_H
#define CNND_WRITE_H

#include "base/err.h"

#include <cjson/cJSON.h>

cJSON *zoo_layer(cJSON *layers, const char *type);
/* The attribute of the enclosing block that PyTorch's class has for this layer. Returns `layer`. */
cJSON *zoo_named(cJSON *layer, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
cJSON *zoo_conv(cJSON *layers, int out_channels, int kernel_size, int stride, int padding);
/* The same without bias. */
cJSON *zoo_conv_only(cJSON *layers, int out_channels, int kernel_size, int stride, int padding);
cJSON *zoo_conv_relu(cJSON *layers, int out_channels, int kernel_size, int stride, int padding);
cJSON *zoo_pool(cJSON *layers, const char *type, int kernel_size, int stride, int padding);
/* The mean over the whole image, as features. */
void zoo_global_pool(cJSON *layers);
cJSON *zoo_linear(cJSON *layers, int out_features);
cJSON *zoo_dropout(cJSON *layers, double p);
/* Two hidden layers of 4096 with dropout, and the last one: what AlexNet and VGG end in. */
void zoo_classifier(cJSON *layers, int num_classes);

/* Appends a layer of this type (sequential, residual, dense) that holds layers; the array for them. */
cJSON *zoo_block(cJSON *layers, const char *type, const char *name);
/* Adds such an array to a layer: "shortcut". */
cJSON *zoo_list(cJSON *layer, const char *key);

/* {"layers": layers}; `layers` is taken. */
int zoo_done(cJSON *layers, cJSON **ret, struct err *e);

/* params/arch, a list of `columns` whole numbers a block, into ret[blocks][columns]. ERR_INVALID with the
   pointer where it is anything else, has more than ZOO_MAX_BLOCKS blocks or a number outside 1 to `max`. */
enum { ZOO_MAX_BLOCKS = 16 };
int zoo_arch(const cJSON *params, int columns, int max, int *ret, int *ret_blocks, struct err *e);

/* ERR_INVALID at "/arch" for more layers in its blocks than ZOO_MAX_DEPTH: each takes some kilobytes of JSON
   before any is looked at. */
enum { ZOO_MAX_DEPTH = 512 };
int zoo_check_depth(int layers, struct err *e);

#endif
