/* The metrics by which a run's epochs are compared. */
#ifndef CNND_METRIC_H
#define CNND_METRIC_H

#include "base/err.h"

#include <cjson/cJSON.h>
#include <stdbool.h>

enum metric { METRIC_NONE, METRIC_VAL_LOSS, METRIC_VAL_ACC, METRIC_TRAIN_LOSS, METRIC_TRAIN_ACC };
/* An epoch's, by enum metric less one. */
enum { METRICS = METRIC_TRAIN_ACC };

/* at/key where it is there: "val_loss", "val_acc", "train_loss" or "train_acc". */
int metric_get(const cJSON *obj, const char *key, const char *at, enum metric *ret, struct err *e);
/* Whether it is one of the validation's. */
bool metric_validates(enum metric m);
/* A loss below, an accuracy above `than` by more than `by`; never what is no number. */
bool metric_better(enum metric m, double value, double than, double by);

#endif
