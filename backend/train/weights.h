/* A network's flat parameter block and its safetensors form. */
#ifndef CNND_WEIGHTS_H
#define CNND_WEIGHTS_H

#include "base/err.h"
#include "base/str.h"
#include "model/safetensors.h"
#include "net/net.h"
#include "train/init.h"

#include <stdbool.h>

/* Starting values: weights as init.h has them, PyTorch's uniform for biases, one or zero for the rest. Each
   number depends on the seed, its parameter's position and its own index only. `block` holds
   net->param_floats. */
void weights_init(const struct net *net, const struct init_spec *how, uint64_t seed, float *block);

/* Copies tensors by name into `block`: every parameter must be there, with its shape, under its name behind
   `prefix`. The file may hold more. */
int weights_read(const struct net *net, const struct safetensors *from, const char *prefix, float *block,
        struct err *e);
/* The same without a prefix, but it may not. */
int weights_load(const struct net *net, const struct safetensors *from, float *block, struct err *e);
/* Takes what has the name and the shape of a parameter, at least one, and leaves the rest of `block` as it
   is; that no frozen layer may have. Adds to `note` in words what was left and what was not used; nothing
   where all fitted. */
int weights_fit(
        const struct net *net, const struct safetensors *from, float *block, struct str *note, struct err *e);
/* Whether a tensor has the parameter's shape, a counter's being an int64. */
bool weights_same_shape(const struct net_param *p, const struct safetensors_tensor *t);
/* Whether weights_read takes the parameter from `from`, of which a head is enough: ERR_INVALID tells in words
   what there is and what is wanted. */
int weights_compare(const struct net_param *p, const struct safetensors *from, struct err *e);
/* ERR_INVALID at /init/freeze, of a parameter that weights_fit does not find. */
int weights_refuse_frozen(const struct net *net, const struct net_param *p, struct err *e);
/* ERR_INVALID in such words of a tensor that is no parameter's. */
int weights_other(const struct safetensors_tensor *t, struct err *e);

/* Tensors that name slices of `block` in the order of the network, for safetensors_write. Counters are
   written as int64; their storage is in `counters` (one for each parameter). `ret` has room for
   net->num_params. */
void weights_tensors(
        const struct net *net, const float *block, int64_t *counters, struct safetensors_tensor *ret);
/* The same without data. */
void weights_shapes(const struct net *net, struct safetensors_tensor *ret);

#endif
