/* A network's flat parameter block and its safetensors form. */
#ifndef CNND_WEIGHTS_H
#define CNND_WEIGHTS_H

#include "base/err.h"
#include "model/safetensors.h"
#include "net/net.h"

#include <stdbool.h>

/* Starting values: Xavier uniform for weights, PyTorch's uniform for biases, one or zero for the rest. Each number
   depends on the seed, its parameter's position and its own index only. `block` holds net->param_floats. */
void weights_init(const struct net *net, uint64_t seed, float *block);

/* Copies tensors by name into `block`. With `strict` every parameter must be there, with its shape, and nothing
   else may be; without it what fits is taken, but a name with another shape is still an error. */
int weights_load(const struct net *net, const struct safetensors *from, bool strict, float *block, struct err *e);

/* Tensors that name slices of `block` in the order of the network, for safetensors_write. Counters are written as
   int64; their storage is in `counters` (one for each parameter). `ret` has room for net->num_params. */
void weights_tensors(const struct net *net, const float *block, int64_t *counters, struct safetensors_tensor *ret);

#endif
