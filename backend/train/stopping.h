/* Early stopping: a job ends, as succeeded, when a metric has not improved for some epochs. The last weights
   are kept, not the best ones. */
#ifndef CNND_STOPPING_H
#define CNND_STOPPING_H

#include "base/err.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

enum stopping_metric {
        STOPPING_NEVER,
        STOPPING_VAL_LOSS,
        STOPPING_VAL_ACC,
        STOPPING_TRAIN_LOSS,
        STOPPING_TRAIN_ACC
};

/* All zero: never. */
struct stopping_spec {
        enum stopping_metric metric;
        int patience;     /* epochs in a row without improvement */
        double min_delta; /* what counts as one: a loss below, an accuracy above the best by more than this */
};

/* What a run has seen; part of its checkpoint. */
struct stopping {
        double best;
        int64_t epochs, waited; /* epochs seen, and how many since the best */
};

/* Fills *ret from a job's "stop_when", NULL where it has none: {"metric" (needed): "val_loss", "val_acc",
   "train_loss" or "train_acc", "patience" (needed): 1 to 100000 epochs, "min_delta" (0): 0 to 1e6}. */
int stopping_parse(const cJSON *json, struct stopping_spec *ret, struct err *e);

/* Whether the metric is one of the validation's. */
bool stopping_validates(const struct stopping_spec *s);

/* An epoch's end, with all four metrics, finite, by enum stopping_metric less one. */
enum { STOPPING_METRICS = STOPPING_TRAIN_ACC };
void stopping_note(
        const struct stopping_spec *s, const double metrics[STOPPING_METRICS], struct stopping *state);
bool stopping_due(const struct stopping_spec *s, const struct stopping *state);

#endif
