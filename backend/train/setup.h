/* What a training job needs on its device, worked out on paper. train_plan reports it, train_run allocates
   it: one computation, so the planned bytes are the allocated ones. */
#ifndef CNND_SETUP_H
#define CNND_SETUP_H

#include "net/net.h"
#include "net/plan.h"
#include "train/train.h"
#include "train/transform.h"
#include "train/update.h"

/* Micro-batches of training, the rest of a batch that they leave, the rest of an epoch's smaller last batch;
   batches of the validation split, its last batch. */
enum setup_phase {
        SETUP_TRAIN,
        SETUP_TRAIN_REST,
        SETUP_TRAIN_LAST,
        SETUP_EVAL,
        SETUP_EVAL_LAST,
        SETUP_PHASES
};

/* Results of this many steps stay on the device before somebody must read them. */
enum { SETUP_SLOTS = 128 };

struct setup {
        struct net *net;           /* borrowed */
        struct net *owned_net;     /* the same where it goes with the setup, else NULL */
        int count[DATASET_SPLITS]; /* images used */
        int micro_batch;           /* samples of training that run at once, at most the batch */
        int n[SETUP_PHASES];       /* samples, 0 where the phase does not occur */
        bool drops_one;            /* an epoch leaves the image out that would be a batch by itself */
        bool begins[SETUP_PHASES],
                adds[SETUP_PHASES];       /* occurs as a step's first micro-batch, as a later one */
        float *class_weights;             /* owned; of each class, NULL where all weigh one */
        struct plan *plans[SETUP_PHASES]; /* owned; NULL where n is 0 */
        int64_t steps_per_epoch, steps;
        int eval_batch;
        struct update_needs update;
        bool resident; /* the images lie on the device; else each batch is sent */
        uint64_t chunk_bytes[PLAN_MAX_CHUNKS];
        int num_chunks;
        uint64_t param_bytes, grad_bytes, labels_bytes, results_bytes, vars_bytes, class_weights_bytes;
        uint64_t image_bytes[DATASET_SPLITS], split_label_bytes[DATASET_SPLITS], order_bytes[DATASET_SPLITS];
        struct transform_spec transform[DATASET_SPLITS]; /* borrows from the request */
        uint64_t total_bytes, largest_bytes;             /* as buf_create accounts them */
};

/* The request's network for this data set, with the layers frozen that are to be; for batches of any size. */
int setup_net(const struct train_request *r, const struct dataset *data, struct net **ret, struct err *e);
/* Whether a batch of one image can teach a layer nothing, and which: a batch_norm whose channels have one
   value for an image. */
bool setup_needs_two(const struct net *net, const char **ret_layer);
/* (num_classes) weights, NULL where all weigh one; the caller frees them. Of a data set on the disk it reads
   labels: ERR_UNAVAILABLE where they cannot be read. */
int setup_weigh(const struct train_request *r, const struct dataset *data, float **ret, struct err *e);
/* However large, with UINT64_MAX as its limit: estimate.h asks what fits, and adds the weights of classes.
   ERR_DEVICE_MEMORY as soon as it shows that it takes more than `limit_bytes`; if only the plans do, that is
   no error. 1 <= micro_batch <= r->batch_size. */
int setup_create(const struct train_request *r, const struct dataset *data, const struct dev_info *info,
        struct net *net, int micro_batch, uint64_t limit_bytes, struct setup **ret, struct err *e);
void setup_destroy(struct setup *s);
/* No setup of this size takes less, going by the lives of its tensors alone: far cheaper than a setup.
   ERR_DEVICE_MEMORY where one is too large for a buffer. */
int setup_least_bytes(const struct train_request *r, const struct dataset *data, const struct dev_info *info,
        struct net *net, int micro_batch, uint64_t *ret, struct err *e);

#endif
