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

static int balance(const int32_t *labels, int count, int num_classes, float *weights, struct err *e)
{
        int *images = calloc((size_t)num_classes, sizeof *images);
        if (!images)
                return err_set(e, ERR_NO_MEMORY, "no memory for %d classes", num_classes);
        for (int i = 0; i < count; i++)
                images[labels[i]]++;
        for (int k = 0; k < num_classes; k++)
                weights[k] = images[k] ? (float)((double)count / ((double)num_classes * images[k])) : 0.0f;
        free(images);
        return 0;
}

int class_weights_make(const struct class_weights *w, const int32_t *labels, int count, int num_classes,
        float **ret, struct err *e)
{
        *ret = NULL;
        if (w->mode == CLASS_WEIGHTS_NONE)
                return 0;
        if (w->mode == CLASS_WEIGHTS_LIST && w->count != num_classes)
                return err_at(e, ERR_INVALID, at, "%d class weights for %d classes", w->count, num_classes);
        float *weights = malloc((size_t)num_classes * sizeof *weights);
        if (!weights)
                return err_set(e, ERR_NO_MEMORY, "no memory for %d class weights", num_classes);
        int rc = 0;
        if (w->mode == CLASS_WEIGHTS_LIST)
                memcpy(weights, w->values, (size_t)num_classes * sizeof *weights);
        else
                rc = balance(labels, count, num_classes, weights, e);
        if (rc) {
                free(weights);
                return rc;
        }
        *ret = weights;
        return 0;
}
