#include "train/schedule.h"
#include "base/json.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { NAME_MAX_BYTES = 40, MAX_STEP_EPOCHS = 100000 };

/* By enum schedule_kind. */
static const struct {
        const char *name, *fields;
} kinds[] = {
        {"constant", "name warmup_epochs"},
        {"step", "name warmup_epochs step_epochs gamma"},
        {"cosine", "name warmup_epochs min_lr"},
};

static int find_kind(const char *name, const char *pointer, enum schedule_kind *ret, struct err *e)
{
        for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
                if (strcmp(name, kinds[i].name) == 0) {
                        *ret = (enum schedule_kind)i;
                        return 0;
                }
        return err_at(e, ERR_INVALID, pointer,
                "there is no schedule \"%.40s\"; known are: constant, step, cosine", name);
}

static int read_step(const cJSON *json, const char *at, struct schedule_spec *s, struct err *e)
{
        int64_t step_epochs = 0;
        int rc = json_need(json, "step_epochs", at, e);
        if (rc == 0)
                rc = json_get_int(json, "step_epochs", 1, MAX_STEP_EPOCHS, at, &step_epochs, e);
        if (rc == 0)
                rc = json_get_number(json, "gamma", 1e-6, 1, at, &s->gamma, e);
        s->step_epochs = (int)step_epochs;
        return rc;
}

static int read_object(
        const cJSON *json, const char *at, double lr, int epochs, struct schedule_spec *s, struct err *e)
{
        char pointer[96];
        const char *name = "";
        int rc = json_is_object(json, at, e);
        if (rc == 0)
                rc = json_need(json, "name", at, e);
        if (rc == 0)
                rc = json_get_string(json, "name", NAME_MAX_BYTES, at, &name, e);
        snprintf(pointer, sizeof pointer, "%s/name", at);
        if (rc == 0)
                rc = find_kind(name, pointer, &s->kind, e);
        if (rc == 0)
                rc = json_only(json, kinds[s->kind].fields, at, e);
        if (rc == 0)
                rc = json_get_number(json, "warmup_epochs", 0, epochs, at, &s->warmup_epochs, e);
        if (rc == 0 && s->kind == SCHEDULE_STEP)
                rc = read_step(json, at, s, e);
        if (rc == 0 && s->kind == SCHEDULE_COSINE)
                rc = json_get_number(json, "min_lr", 0, lr, at, &s->min_lr, e);
        return rc;
}

int schedule_parse(
        const cJSON *json, const char *at, double lr, int epochs, struct schedule_spec *ret, struct err *e)
{
        struct schedule_spec s = {.gamma = 0.1};
        int rc;
        if (cJSON_IsString(json))
                rc = find_kind(json->valuestring, at, &s.kind, e);
        else
                rc = read_object(json, at, lr, epochs, &s, e);
        if (rc == 0 && s.kind == SCHEDULE_STEP && s.step_epochs == 0)
                rc = err_at(e, ERR_INVALID, at,
                        "schedule \"step\" needs its \"step_epochs\": write "
                        "{\"name\":\"step\",\"step_epochs\":10}");
        if (rc == 0)
                *ret = s;
        return rc;
}

double schedule_lr(
        const struct schedule_spec *s, double lr, int64_t step, int64_t steps_per_epoch, int64_t steps)
{
        double an_epoch = (double)steps_per_epoch, warmup = s->warmup_epochs * an_epoch, t = (double)step;
        if (t < warmup)
                return lr * t / warmup;
        if (s->kind == SCHEDULE_STEP)
                return lr * pow(s->gamma, floor((t - warmup) / (s->step_epochs * an_epoch)));
        if (s->kind == SCHEDULE_COSINE)
                return s->min_lr +
                       (lr - s->min_lr) * (1 + cos(acos(-1.0) * (t - warmup) / ((double)steps - warmup))) / 2;
        return lr;
}
