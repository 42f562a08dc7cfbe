/* How a job's weights start, as a user writes it. */
#ifndef CNND_INIT_H
#define CNND_INIT_H

#include "base/err.h"

#include <cjson/cJSON.h>
#include <stdbool.h>

enum { INIT_NAME_MAX = 64, INIT_MAX_FREEZE = 256 };

enum init_kind { INIT_XAVIER_UNIFORM, INIT_KAIMING_UNIFORM, INIT_NORMAL };

/* All zero: xavier_uniform. */
struct init_spec {
        enum init_kind kind;
        double std;                   /* of normal */
        char from[INIT_NAME_MAX + 1]; /* model whose weights to start from, "" for none */
        bool strict;
        cJSON *freeze; /* owned list of prefixes of layers, NULL for none */
};

/* Fills *ret from a job's "init", NULL where it has none. A name, or an object:

   "xavier_uniform"                    uniform within sqrt(6 / (fan_in + fan_out)); the default
   "kaiming_uniform"                   uniform within sqrt(6 / fan_in), for nets of ReLU
   "normal", {"name":"normal","std"}   mean 0, standard deviation 0.01 or `std`, 1e-12 to 1000
   {"from","strict","freeze"}          the weights of the model `from`

   This is about weights: biases are drawn within 1/sqrt(fan_in) as PyTorch does, batch norm starts at one and
   zero.

   With "strict" (true) the model must have this net's tensors, no more and no less. With false what has its
   name and shape is taken (a net with another head, say), the rest starts as xavier_uniform, and a `note`
   event says which that is. "freeze" (a list, [] by default) names layers by PyTorch's prefix, "net.0" or
   "net.dense_blk1": all layers at and below it keep the weights that they came with. No gradient is computed
   for them, nor behind them where nothing before is trained, no optimizer touches them, and batch norms among
   them run in evaluation mode: with their running statistics, which stay as they are. Dropout among them goes
   on dropping. */
int init_parse(const cJSON *json, struct init_spec *ret, struct err *e);
void init_finish(struct init_spec *s);

#endif
