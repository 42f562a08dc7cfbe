#include "train/metric.h"
#include "base/json.h"

#include <stdio.h>
#include <string.h>

enum { NAME_MAX_BYTES = 40 };

static const char *const names[] = {"", "val_loss", "val_acc", "train_loss", "train_acc"};

int metric_get(const cJSON *obj, const char *key, const char *at, enum metric *ret, struct err *e)
{
        const char *name = NULL;
        char pointer[64];
        int rc = json_get_string(obj, key, NAME_MAX_BYTES, at, &name, e);
        if (rc || !name)
                return rc;
        for (int i = METRIC_VAL_LOSS; i <= METRIC_TRAIN_ACC; i++)
                if (strcmp(name, names[i]) == 0) {
                        *ret = (enum metric)i;
                        return 0;
                }
        snprintf(pointer, sizeof pointer, "%s/%s", at, key);
        return err_at(e, ERR_INVALID, pointer,
                "there is no metric \"%.40s\"; known are: val_loss, val_acc, train_loss, train_acc", name);
}

bool metric_validates(enum metric m)
{
        return m == METRIC_VAL_LOSS || m == METRIC_VAL_ACC;
}

bool metric_better(enum metric m, double value, double than, double by)
{
        const bool falls = m == METRIC_VAL_LOSS || m == METRIC_TRAIN_LOSS;
        return falls ? value < than - by : value > than + by;
}
