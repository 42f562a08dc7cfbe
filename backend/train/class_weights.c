#include "train/class_weights.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char at[] = "/class_weights";
static const double weight_max = 1e6;

static int read_list(const cJSON *list, float *values, struct err *e)
{
        double sum = 0;
        int i = 0;
        const cJSON *item;
        cJSON_ArrayForEach(item, list)
        {
                char pointer[48];
                snprintf(pointer, sizeof pointer, "%s/%d", at, i);
                if (!cJSON_IsNumber(item) || !(item->valuedouble >= 0 && item->valuedouble <= weight_max))
                        return err_at(e, ERR_INVALID, pointer, "a weight must be a number from 0 to %g",
                                weight_max);
                values[i++] = (float)item->valuedouble;
                sum += item->valuedouble;
        }
        return sum > 0 ? 0
                       : err_at(e, ERR_INVALID, at, "all class weights are zero: nothing would be trained");
}

int class_weights_parse(const cJSON *json, struct class_weights *ret, struct err *e)
{
        struct class_weights w = {0};
        if (!json)
                return 0;
        if (cJSON_IsString(json) && strcmp(json->valuestring, "balanced") == 0) {
                ret->mode = CLASS_WEIGHTS_BALANCED;
                return 0;
        }
        if (!cJSON_IsArray(json))
                return err_at(
                        e, ERR_INVALID, at, "\"class_weights\" must be \"balanced\" or a list of numbers");
        w.mode = CLASS_WEIGHTS_LIST;
        w.count = cJSON_GetArraySize(json);
        w.values = malloc(((size_t)w.count + 1) * sizeof *w.values);
        if (!w.values)
                return err_set(e, ERR_NO_MEMORY, "no memory for %d class weights", w.count);
        int rc = read_list(json, w.values, e);
        if (rc) {
                class_weights_finish(&w);
                return rc;
        }
        *ret = w;
        return 0;
}

void class_weights_finish(struct class_weights *w)
{
        free(w->values);
        *w = (struct class_weights){0};
}

static void balance(const int64_t *counts, int num_classes, float *weights)
{
        int64_t all = 0;
        for (int k = 0; k < num_classes; k++)
                all += counts[k];
        for (int k = 0; k < num_classes; k++)
                weights[k] =
                        counts[k] ? (float)((double)all / ((double)num_classes * (double)counts[k])) : 0.0f;
}

int class_weights_make(
        const struct class_weights *w, const int64_t *counts, int num_classes, float **ret, struct err *e)
{
        *ret = NULL;
        if (w->mode == CLASS_WEIGHTS_NONE)
                return 0;
        if (w->mode == CLASS_WEIGHTS_LIST && w->count != num_classes)
                return err_at(e, ERR_INVALID, at, "%d class weights for %d classes", w->count, num_classes);
        float *weights = malloc((size_t)num_classes * sizeof *weights);
        if (!weights)
                return err_set(e, ERR_NO_MEMORY, "no memory for %d class weights", num_classes);
        if (w->mode == CLASS_WEIGHTS_LIST)
                memcpy(weights, w->values, (size_t)num_classes * sizeof *weights);
        else
                balance(counts, num_classes, weights);
        *ret = weights;
        return 0;
}
