#include "train/stopping.h"
#include "base/json.h"

enum { MAX_PATIENCE = 100000 };

static const char at[] = "/stop_when";

int stopping_parse(const cJSON *json, struct stopping_spec *ret, struct err *e)
{
        struct stopping_spec s = {METRIC_NONE, 0, 0};
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
                rc = json_need(json, "metric", at, e);
        if (rc == 0)
                rc = metric_get(json, "metric", at, &s.metric, e);
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

void stopping_note(const struct stopping_spec *s, const double metrics[METRICS], struct stopping *state)
{
        if (s->metric == METRIC_NONE)
                return;
        double value = metrics[s->metric - 1];
        if (state->epochs == 0 || metric_better(s->metric, value, state->best, s->min_delta)) {
                state->best = value;
                state->waited = 0;
        } else {
                state->waited++;
        }
        state->epochs++;
}

bool stopping_due(const struct stopping_spec *s, const struct stopping *state)
{
        return s->metric != METRIC_NONE && state->waited >= s->patience;
}
