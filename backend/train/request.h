/* A training job as a user writes it (JSON), checked field by field. */
#ifndef CNND_REQUEST_H
#define CNND_REQUEST_H

#include "base/err.h"
#include "data/dataset.h"
#include "device/dev.h"
#include "ops/op.h"
#include "train/augment.h"
#include "train/class_weights.h"
#include "train/init.h"
#include "train/metric.h"
#include "train/normalize.h"
#include "train/optimizer.h"
#include "train/stopping.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

enum { REQUEST_NAME_MAX = 64, REQUEST_TITLE_MAX = 200 };
enum {
        REQUEST_MAX_EPOCHS = 100000,
        REQUEST_BATCH_DEFAULT = 128,
        REQUEST_MAX_BATCH = 65536,
        REQUEST_MAX_COUNT = 1000000000
};

struct train_request {
        char title[REQUEST_TITLE_MAX + 1]; /* "name", "" where absent */
        cJSON *architecture;               /* owned copy of what was sent: string or object */
        char dataset[REQUEST_NAME_MAX + 1];
        int limit, val_limit;   /* images used of each split, 0 for all */
        int resize_h, resize_w; /* 0 for the data set's own size */
        struct normalize normalize;
        struct augment augment;
        int epochs, batch_size;
        int micro_batch; /* 0: chosen by what fits the device */
        enum op_precision precision;
        struct class_weights class_weights;
        int64_t max_steps; /* 0 for none */
        int report_every;  /* steps between `train` events; 0: chosen, ten an epoch */
        bool shuffle;
        uint64_t seed;
        struct optimizer_spec optimizer;
        struct stopping_spec stop_when;
        struct init_spec init;
        char save_as[REQUEST_NAME_MAX + 1]; /* "" : not saved */
        enum metric save_best;              /* METRIC_NONE: the last weights */
};

/* Fills *ret from a job's JSON ("type":"train" …). Unknown fields, wrong types and values out of range are
   ERR_INVALID with the pointer of the field. The architecture's inside is checked by train_plan, which knows
   the input. *ret is untouched on error; else free it with train_request_finish. `json` is borrowed.

   Field               default    allowed
   type                needed     "train"
   name                ""         1 to REQUEST_TITLE_MAX bytes
   architecture        needed     a preset's name, or an object
   dataset             needed     a name, or {"name" (needed), "resize":[H,W], "limit", "val_limit",
                                  "normalize": see normalize.h}
   augment             []         see augment.h
   epochs              10         1 to REQUEST_MAX_EPOCHS
   batch_size          128        1 to REQUEST_MAX_BATCH
   micro_batch         chosen     1 to batch_size: images that run at once, gradients added up
   precision           "fp32"     or "tf32": what conv2d and linear multiply in, on devices that have it
   class_weights       none       "balanced" or a list, see class_weights.h
   optimizer           sgd, 0.1   see optimizer.h; "gradient_clip" and "schedule" stand inside it
   stop_when           never      {"metric","patience","min_delta"}, see stopping.h
   seed                0          0 to 2^53
   shuffle             true
   max_steps           none       1 to 2^53
   report_every        chosen     1 to REQUEST_MAX_COUNT steps
   init                           "xavier_uniform" and others, or {"from","strict","freeze"}, see init.h
   save_as             not saved  a name
   save_best           the last   a metric, see metric.h: the weights of the epoch that was best by it are
                                  saved; needs save_as
   priority            -          the front's: not looked at here

   Names are those of request_name_ok; sides of "resize" are 1 to 65536; limits 1 to REQUEST_MAX_COUNT. */
int train_request_parse(const cJSON *json, struct train_request *ret, struct err *e);
void train_request_finish(struct train_request *r);
/* Steps from one train point to the next: a tenth of an epoch where the request does not say. */
int64_t train_request_report_every(const struct train_request *r, int64_t steps_per_epoch);

/* ERR_INVALID with the reason where the device cannot run it however much memory it has. */
int train_request_suits(const struct train_request *r, const struct dev_info *info, struct err *e);

/* Letters, digits, '.', '_' and '-', not first '.' or '-', 1 to REQUEST_NAME_MAX bytes: names of data sets
   and models, which become file names. */
bool request_name_ok(const char *name);
/* at/key where it is there: a name that may become a file's. `out` has REQUEST_NAME_MAX + 1 bytes. */
int request_get_name(const cJSON *obj, const char *key, const char *at, char *out, struct err *e);

#endif
