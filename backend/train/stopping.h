/* Early stopping: a job ends, as succeeded, when a metric has not improved for some epochs. Whose weights it
   keeps is best.h's. */
#ifndef CNND_STOPPING_H
#define CNND_STOPPING_H

#include "base/err.h"
#include "train/metric.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

/* All zero: never. */
struct stopping_spec {
        enum metric metric;
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

/* An epoch's end, with all its metrics, finite. */
void stopping_note(const struct stopping_spec *s, const double metrics[METRICS], struct stopping *state);
bool stopping_due(const struct stopping_spec *s, const struct stopping *state);

#endif
