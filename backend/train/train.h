/* One training job on one device, from its request to its saved model. */
#ifndef CNND_TRAIN_H
#define CNND_TRAIN_H

#include "base/err.h"
#include "data/dataset.h"
#include "device/dev.h"
#include "ops/strategy.h"
#include "train/request.h"

#include <stdbool.h>
#include <stdint.h>

/* What a job will take, known before it runs. */
struct train_estimate {
        uint64_t device_bytes;   /* everything the job allocates on the device */
        uint64_t largest_buffer; /* the largest single allocation */
        int micro_batch;      /* samples that run at once; less than batch_size when gradients accumulate */
        int64_t steps;        /* optimizer steps in all */
        uint64_t model_bytes; /* of the file that it saves */
        char note[400];       /* for the user: what changes the mathematics, or the classes, a line each */
};

/* Builds the network on paper for this data set and device, allocates nothing. ERR_INVALID with the pointer
   of the layer ("/architecture/layers/7/kernel_size"); ERR_DEVICE_MEMORY with bytes needed, bytes there, the
   largest single buffer and the largest batch that fits, when one image at once, or the micro_batch that was
   asked for, does not fit. Needs no driver: the front calls it. */
int train_plan(const struct train_request *r, const struct dataset *data, const struct dev_info *info,
        struct train_estimate *ret, struct err *e);

enum train_want { TRAIN_GO, TRAIN_STOP, TRAIN_CANCEL };

struct train_hooks {
        void *ctx;
        /* One event: its name and one line of JSON. Non-zero ends the run with that error. */
        int (*event)(void *ctx, const char *event, const char *data, struct err *e);
        /* Called between steps, at least once a step: the place where the worker answers classifications.
           TRAIN_STOP: write a checkpoint and return, between two steps; TRAIN_CANCEL: return at once, also
           between the micro-batches of a step and the batches of a validation. */
        enum train_want (*between_steps)(void *ctx);
        /* Whether between_steps would do anything. Where it would not, a device whose steps are short begins
           the next one before the last is over, and between_steps is not called. NULL: it is always called,
           and finds all done. */
        bool (*asked)(void *ctx);
        /* Called before a checkpoint becomes durable, and returns once all events sent so far are: a run that
           goes on from the checkpoint does not repeat them. Non-zero ends the run. NULL: not needed. */
        int (*before_checkpoint)(void *ctx, struct err *e);
};

/* How the layers run, see ops/strategy.h. */
struct train_tuning {
        const struct strategies *known; /* borrowed: the device's */
        const cJSON *bound;             /* borrowed: what a first start told by its event; NULL for none */
        /* Called with what was measured, before the event tells of it. */
        void (*measured)(void *ctx, const struct strategies *s);
        void *ctx;
};

struct train_job {
        const struct train_request *request;
        const struct dataset *data;
        const char *dir;          /* the job's own folder: checkpoint.safetensors, model.safetensors */
        const char *init_weights; /* safetensors file for request->init_from, else NULL */
        const struct train_tuning *tuning; /* NULL: nothing is measured, what strategy_prefer says */
        int64_t checkpoint_step;           /* of the last one that was told of; 0 for none */
        double checkpoint_seconds; /* at most this long between checkpoints (one is made at each epoch's end
                                      too) */
};

/* Bytes of the JSON of a `validation` event, at most. */
enum { TRAIN_POINT_MAX = 320 };

enum train_end { TRAIN_DONE, TRAIN_STOPPED, TRAIN_CANCELLED, TRAIN_DIVERGED };

struct train_outcome {
        enum train_end end;
        int64_t step;
        uint64_t device_bytes;      /* peak */
        bool stopped_early;         /* done by stop_when, before its last step */
        double epoch;               /* passes over the data done */
        char best[TRAIN_POINT_MAX]; /* done or diverged with save_best: the `validation` event of the epoch
                                       that was saved; else "" */
        struct err why;             /* diverged: where, and what to do about it */
};

/* Runs the job, from dir/checkpoint.safetensors where that exists and is whole, else from the start. The same
   request on the same device gives bit-identical events (but for images_per_second) and weights, however
   often it was stopped or killed between. On TRAIN_DONE dir/model.safetensors holds the weights: the last, or
   with save_best those of the best epoch; on TRAIN_DIVERGED the latter. A run that goes on from a checkpoint
   repeats the events since that checkpoint; the caller drops those it has by their step.

   Events: `train` {"step","epoch","loss","acc","epoch_loss","epoch_acc","lr","images_per_second"}: loss and
   acc are means since the event before, epoch_* since the epoch began, lr is the rate of the last step;
   `validation` {"epoch","step","loss","acc", "train_loss","train_acc"}, with save_best "best_epoch" too, the
   best so far; `checkpoint` {"step"}; `note` {"text"}: what of a model was not taken (init.h); `strategies`
   {LAYER: VARIANTS}, before all others: what the job is bound to from now on, when it continues too. A run
   that starts again from nothing repeats the note. A NaN or infinite loss or weight ends the job with
   ERR_INVALID, the step in the message and the last good checkpoint kept; no model is saved then. With
   save_best and an epoch that has been best it returns 0 and TRAIN_DIVERGED, and ret->why is that error. */
int train_run(struct dev *d, const struct train_job *job, const struct train_hooks *hooks,
        struct train_outcome *ret, struct err *e);

#endif
