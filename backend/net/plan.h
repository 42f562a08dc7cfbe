/* Where everything of a network lies in device memory, decided once per batch size and mode, without a
   device.

   Time runs 0: the batch is gathered; 1+i: forward of node i; 1+F: the loss; 2+F+(F-1-i): backward of node i.
   Every tensor has a first and a last moment; tensors whose times do not meet share memory. The memory is one
   or few chunks, each below the device's largest allocation. The bytes are exact: what exec allocates is what
   the plan says. */
#ifndef CNND_PLAN_H
#define CNND_PLAN_H

#include "base/err.h"
#include "device/dev.h"
#include "net/net.h"

enum plan_mode {
        PLAN_TRAIN, /* forward, loss, backward */
        PLAN_EVAL,  /* forward with running statistics, loss */
        PLAN_INFER, /* forward with parameters that stay; the logits stand at the end */
};

enum { PLAN_MAX_CHUNKS = 64, PLAN_ALIGN = 32 /* floats */ };

/* A piece of memory with its life. */
struct plan_slot {
        int chunk; /* -1: not needed */
        uint64_t offset, floats;
        int first, last;
};

struct plan_node {
        struct op_needs needs;
        int saved[OP_MAX_SAVED], workspace_forward, workspace_backward; /* slots, -1 where none */
        bool keeps_workspace;                                           /* of forward, from run to run */
        int done_by;  /* whose forward does this node's too, as its epilogue: itself, or one before it */
        int followed; /* the next node that the same forward does, -1 where this is the last */
};

struct plan {
        enum plan_mode mode;
        int n, lanes;
        struct plan_slot *slots; /* owned */
        int num_slots;
        int *data, *grad;        /* owned; slot of each value's root, -1 where there is none */
        bool *wants_grad;        /* owned; of each value: something before it is trained */
        struct plan_node *nodes; /* owned */
        uint64_t peak_floats;    /* what lives at the fullest moment: no placing takes less */
        uint64_t chunk_floats[PLAN_MAX_CHUNKS];
        int num_chunks;
};

/* Samples side by side in a block for batches of n on this device: the device's lanes, or 1 where most of
   them would stay empty and there are kernels for that. */
int plan_lanes(const struct dev_info *info, enum plan_mode mode, int n);

/* ERR_DEVICE_MEMORY when one tensor alone is larger than the device's largest allocation. */
int plan_create(const struct net *net, const struct dev_info *info, enum plan_mode mode, int n,
        struct plan **ret, struct err *e);
/* The same without a place for anything: what there is, its lives and the peak. Far cheaper. */
int plan_outline(const struct net *net, const struct dev_info *info, enum plan_mode mode, int n,
        struct plan **ret, struct err *e);
void plan_destroy(struct plan *p);
/* Of all chunks together. */
uint64_t plan_bytes(const struct plan *p);
/* Of the flat blocks: parameters, and in PLAN_TRAIN their gradients. */
uint64_t plan_param_bytes(const struct net *net, enum plan_mode mode);

#endif
