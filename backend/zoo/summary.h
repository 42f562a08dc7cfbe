/* Looking at a network without a device: layers, shapes, parameters, FLOPs, memory. */
#ifndef CNND_SUMMARY_H
#define CNND_SUMMARY_H

#include "base/err.h"

#include <cjson/cJSON.h>

/* The layer summary of API.md for a (c,h,w) input: `layers[]` with name, type, block, output_shape (batch
   first), parameters, flops, bytes; `totals` of these, and the shares of `convolution` and `fully_connected`
   in them; `memory` {"training","inference"} in device bytes for `batch`. `architecture` is a preset's name,
   {"name":…, parameters} or {"layers":[…]}; pointers in errors start at it. num_classes 0: the preset's own
   default. The caller frees *ret. */
int summary_build(const cJSON *architecture, const int input[3], int batch, int num_classes, cJSON **ret,
        struct err *e);

/* {"presets":[{"name","parameters":[{"name","type","default"}…]}],"layers":[{"type","parameters":[…]}]}.
   It may lack what there was no memory for: json_fell_short. */
cJSON *architectures_json(void);

#endif
