#include "train/stopping.h"
#include "base/json.h"

#include <string.h>

enum { NAME_MAX_BYTES = 40, MAX_PATIENCE = 100000 };

static const char at[] = "/stop_when";
static const char *const names[] = {"", "val_loss", "val_acc", "train_loss", "train_acc"};

static int read_metric(const cJSON *json, enum stopping_metric *ret, struct err *e)
{
        const char *name = "";
        int rc = json_need(json, "metric", at, e);
        if (rc == 0)
                rc = json_get_string(json, "metric", NAME_MAX_BYTES, at, &name, e);
        if (rc)
                return rc;
        for (int i = STOPPING_VAL_LOSS; i <= STOPPING_TRAIN_ACC; i++)
                if (strcmp(name, names[i]) == 0) {
                        *ret = (enum stopping_metric)i;
                        return 0;
                }
        return err_at(e, ERR_INVALID, "/stop_when/metric",
                "there is no metric \"%.40s\"; known are: val_loss, val_acc, train_loss, train_acc", name);
}

int stopping_parse(const cJSON *json, struct stopping_spec *ret, struct err *e)
{
        struct stopping_spec s = {STOPPING_NEVER, 0, 0};
        int64_t patience = 0;
        if (!json)
                return 0;
        int rc = cJSON_IsObject(json) ? 0
                                      : err_at(e, ERR_INVALID, at,
                                                "\"stop_when\" must be an object like "
                                                "{\"metric\":\"val_loss\",\"patience\":3}");
        if (rc == 0)
                rc = json_only(json, "metric patience min_delta", at, e);
        if (rc == 0)
                rc = read_metric(json, &s.metric, e);
        if (rc == 0)
                rc = json_need(json, "patience", at, e);
        if (rc == 0)
                rc = json_get_int(json, "patience", 1, MAX_PATIENCE, at, &patience, e);
        if (rc == 0)
                rc = json_get_number(json, "min_delta", 0, 1e6, at, &s.min_delta, e);
        s.patience = (int)patience;
        if (rc == 0)
                *ret = s;
        return rc;
}

bool stopping_validates(const struct stopping_spec *s)
{
        return s->metric == STOPPING_VAL_LOSS || s->metric == STOPPING_VAL_ACC;
}

void stopping_note(
        const struct stopping_spec *s, const double metrics[STOPPING_METRICS], struct stopping *state)
{
        if (s->metric == STOPPING_NEVER)
                return;
        double value = metrics[s->metric - 1];
        bool falls = s->metric == STOPPING_VAL_LOSS || s->metric == STOPPING_TRAIN_LOSS;
        bool better = falls ? value < state->best - s->min_delta : value > state->best + s->min_delta;
        if (better || state->epochs == 0) {
                state->best = value;
                state->waited = 0;
        } else {
                state->waited++;
        }
        state->epochs++;
}

bool stopping_due(const struct stopping_spec *s, const struct stopping *state)
{
        return s->metric != STOPPING_NEVER && state->waited >= s->patience;
}
