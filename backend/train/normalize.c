#include "train/normalize.h"
#include "base/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LIST_MAX = 4096 };
static const double mean_max = 1e30, std_min = 1e-30;

static int read_list(const cJSON *object, const char *key, double min, const char *at, int *count,
        double **ret, struct err *e)
{
        const cJSON *list = json_field(object, key), *item;
        char pointer[160];
        int n = 0, rc = json_need(object, key, at, e);
        if (rc)
                return rc;
        snprintf(pointer, sizeof pointer, "%s/%s", at, key);
        if (!cJSON_IsArray(list) || cJSON_GetArraySize(list) < 1 || cJSON_GetArraySize(list) > LIST_MAX)
                return err_at(e, ERR_INVALID, pointer,
                        "\"%s\" must be a list of numbers, one for each channel", key);
        double *values = malloc((size_t)cJSON_GetArraySize(list) * sizeof *values);
        if (!values)
                return err_set(e, ERR_NO_MEMORY, "no memory for \"%s\"", key);
        cJSON_ArrayForEach(item, list)
        {
                double v = cJSON_IsNumber(item) ? item->valuedouble : 2 * mean_max;
                if (!(v >= min && v <= mean_max)) {
                        free(values);
                        snprintf(pointer, sizeof pointer, "%s/%s/%d", at, key, n);
                        return err_at(
                                e, ERR_INVALID, pointer, "must be a number from %g to %g", min, mean_max);
                }
                values[n++] = v;
        }
        *count = n;
        *ret = values;
        return 0;
}

static int read_channels(const cJSON *json, const char *at, struct normalize *z, struct err *e)
{
        int means = 0, stds = 0;
        int rc = json_only(json, "mean std", at, e);
        z->mode = NORMALIZE_CHANNELS;
        if (rc == 0)
                rc = read_list(json, "mean", -mean_max, at, &means, &z->mean, e);
        if (rc == 0)
                rc = read_list(json, "std", std_min, at, &stds, &z->std, e);
        if (rc == 0 && means != stds)
                rc = err_at(e, ERR_INVALID, at, "%d means, but %d deviations", means, stds);
        z->count = means;
        return rc;
}

int normalize_parse(const cJSON *json, const char *at, struct normalize *ret, struct err *e)
{
        struct normalize z = {0};
        if (!json || cJSON_IsNull(json))
                return 0;
        if (cJSON_IsString(json) && strcmp(json->valuestring, "per_image") == 0) {
                ret->mode = NORMALIZE_IMAGE;
                return 0;
        }
        if (!cJSON_IsObject(json))
                return err_at(e, ERR_INVALID, at,
                        "\"normalize\" must be {\"mean\":[…],\"std\":[…]} or \"per_image\"");
        int rc = read_channels(json, at, &z, e);
        if (rc) {
                normalize_finish(&z);
                return rc;
        }
        *ret = z;
        return 0;
}

void normalize_finish(struct normalize *z)
{
        free(z->mean);
        free(z->std);
        *z = (struct normalize){0};
}

int normalize_check(const struct normalize *z, int channels, const char *at, struct err *e)
{
        if (z->mode != NORMALIZE_CHANNELS || z->count == 1 || z->count == channels)
                return 0;
        return err_at(e, ERR_INVALID, at, "%d means for images of %d channel%s", z->count, channels,
                channels == 1 ? "" : "s");
}

char *normalize_preprocessing(const struct normalize *z, struct shape input)
{
        cJSON *root = cJSON_CreateObject();
        if (!root)
                return NULL;
        json_add(root, "resize", cJSON_CreateIntArray((int[]){input.h, input.w}, 2));
        if (z->mode == NORMALIZE_IMAGE)
                cJSON_AddStringToObject(root, "normalize", "per_image");
        if (z->mode == NORMALIZE_CHANNELS) {
                cJSON *object = cJSON_AddObjectToObject(root, "normalize");
                json_add(object, "mean", cJSON_CreateDoubleArray(z->mean, z->count));
                json_add(object, "std", cJSON_CreateDoubleArray(z->std, z->count));
        }
        char *text = json_text(root);
        cJSON_Delete(root);
        return text;
}

int normalize_from_preprocessing(const cJSON *json, struct shape input, struct normalize *ret, struct err *e)
{
        static const char at[] = "/preprocessing";
        struct normalize z = {0};
        if (!json || cJSON_IsNull(json))
                return 0;
        int rc = json_is_object(json, at, e);
        if (rc == 0)
                rc = json_only(json, "resize normalize", at, e);
        if (rc)
                return rc;
        const cJSON *size = json_field(json, "resize");
        const cJSON *h = cJSON_GetArrayItem(size, 0), *w = cJSON_GetArrayItem(size, 1);
        if (size && (!cJSON_IsArray(size) || cJSON_GetArraySize(size) != 2 || !cJSON_IsNumber(h) ||
                            !cJSON_IsNumber(w) || h->valuedouble != input.h || w->valuedouble != input.w))
                return err_at(e, ERR_INVALID, "/preprocessing/resize",
                        "\"resize\" must be the model's input, [%d,%d]", input.h, input.w);
        rc = normalize_parse(json_field(json, "normalize"), "/preprocessing/normalize", &z, e);
        if (rc == 0)
                rc = normalize_check(&z, input.c, "/preprocessing/normalize", e);
        if (rc) {
                normalize_finish(&z);
                return rc;
        }
        *ret = z;
        return 0;
}
