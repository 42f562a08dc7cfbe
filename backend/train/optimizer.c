#include "train/optimizer.h"
#include "base/json.h"

#include <string.h>

enum { NAME_MAX_BYTES = 40 };

#define COMMON "name lr weight_decay gradient_clip schedule "

static const char at[] = "/optimizer";

/* By enum optimizer_kind. */
static const struct {
        const char *name, *fields;
        double lr, weight_decay, eps;
        const char *states[OPTIMIZER_MAX_STATES];
} kinds[] = {
        {"sgd", COMMON "momentum dampening nesterov", 0.1, 0, 0, {"momentum_buffer"}},
        {"adagrad", COMMON "lr_decay initial_accumulator_value eps", 0.01, 0, 1e-10, {"sum"}},
        {"adam", COMMON "betas eps", 1e-3, 0, 1e-8, {"exp_avg", "exp_avg_sq"}},
        {"adamw", COMMON "betas eps", 1e-3, 0.01, 1e-8, {"exp_avg", "exp_avg_sq"}},
        {"yogi", COMMON "betas eps", 0.01, 0, 1e-3, {"exp_avg", "exp_avg_sq"}},
};

static int find_kind(const char *name, const char *pointer, enum optimizer_kind *ret, struct err *e)
{
        for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
                if (strcmp(name, kinds[i].name) == 0) {
                        *ret = (enum optimizer_kind)i;
                        return 0;
                }
        return err_at(e, ERR_INVALID, pointer,
                "there is no optimizer \"%.40s\"; known are: sgd, adagrad, adam, adamw, yogi", name);
}

static int read_kind(const cJSON *json, enum optimizer_kind *ret, struct err *e)
{
        const char *name = "sgd";
        int rc = json_get_string(json, "name", NAME_MAX_BYTES, at, &name, e);
        return rc ? rc : find_kind(name, "/optimizer/name", ret, e);
}

static int read_betas(const cJSON *betas, struct optimizer_spec *o, struct err *e)
{
        static const char *const pointers[] = {"/optimizer/betas/0", "/optimizer/betas/1"};
        if (!betas)
                return 0;
        if (!cJSON_IsArray(betas) || cJSON_GetArraySize(betas) != 2)
                return err_at(
                        e, ERR_INVALID, "/optimizer/betas", "\"betas\" must be two numbers, [0.9, 0.999]");
        for (int i = 0; i < 2; i++) {
                const cJSON *beta = cJSON_GetArrayItem(betas, i);
                if (!cJSON_IsNumber(beta) || !(beta->valuedouble >= 0 && (float)beta->valuedouble < 1))
                        return err_at(
                                e, ERR_INVALID, pointers[i], "a beta must be a number from 0 to below 1");
                o->betas[i] = beta->valuedouble;
        }
        return 0;
}

static int read_sgd(const cJSON *json, struct optimizer_spec *o, struct err *e)
{
        int rc = json_get_number(json, "momentum", 0, 1, at, &o->momentum, e);
        if (rc == 0)
                rc = json_get_number(json, "dampening", 0, 1, at, &o->dampening, e);
        if (rc == 0)
                rc = json_get_bool(json, "nesterov", at, &o->nesterov, e);
        if (rc == 0 && o->nesterov && (o->momentum == 0 || o->dampening != 0))
                rc = err_at(
                        e, ERR_INVALID, "/optimizer/nesterov", "nesterov needs a momentum and no dampening");
        return rc;
}

static int read_fields(const cJSON *json, int epochs, struct optimizer_spec *o, struct err *e)
{
        const cJSON *schedule = json_field(json, "schedule");
        int rc = json_get_number(json, "lr", 1e-12, 1e6, at, &o->lr, e);
        if (rc == 0)
                rc = json_get_number(json, "weight_decay", 0, 1000, at, &o->weight_decay, e);
        if (rc == 0)
                rc = json_get_number(json, "gradient_clip", 1e-12, 1e9, at, &o->gradient_clip, e);
        if (rc == 0)
                rc = read_sgd(json, o, e);
        if (rc == 0)
                rc = json_get_number(json, "lr_decay", 0, 1e6, at, &o->lr_decay, e);
        if (rc == 0)
                rc = json_get_number(
                        json, "initial_accumulator_value", 0, 1e6, at, &o->initial_accumulator_value, e);
        if (rc == 0)
                rc = read_betas(json_field(json, "betas"), o, e);
        if (rc == 0)
                rc = json_get_number(json, "eps", 1e-30, 1, at, &o->eps, e);
        if (rc == 0 && schedule)
                rc = schedule_parse(schedule, "/optimizer/schedule", o->lr, epochs, &o->schedule, e);
        return rc;
}

int optimizer_parse(const cJSON *json, int epochs, struct optimizer_spec *ret, struct err *e)
{
        enum optimizer_kind kind = OPTIMIZER_SGD;
        int rc = 0;
        if (cJSON_IsString(json)) { /* its name alone */
                rc = find_kind(json->valuestring, at, &kind, e);
                json = NULL;
        } else if (json) {
                rc = json_is_object(json, at, e);
        }
        /* The name first: fields and defaults differ from one optimizer to the next. */
        if (rc == 0 && json)
                rc = read_kind(json, &kind, e);
        if (rc == 0 && json)
                rc = json_only(json, kinds[kind].fields, at, e);
        struct optimizer_spec o = {.kind = kind,
                .lr = kinds[kind].lr,
                .weight_decay = kinds[kind].weight_decay,
                .betas = {0.9, 0.999},
                .eps = kinds[kind].eps};
        if (rc == 0 && json)
                rc = read_fields(json, epochs, &o, e);
        if (rc == 0)
                *ret = o;
        return rc;
}

int optimizer_states(const struct optimizer_spec *o, const char *ret[OPTIMIZER_MAX_STATES])
{
        int count = 0;
        if (o->kind == OPTIMIZER_SGD && o->momentum == 0)
                return 0;
        for (int i = 0; i < OPTIMIZER_MAX_STATES && kinds[o->kind].states[i]; i++)
                ret[count++] = kinds[o->kind].states[i];
        return count;
}
