#include "train/normalize.h"
#include "base/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
        if (!cJSON_IsArray(list) || cJSON_GetArraySize(list) < 1 ||
                cJSON_GetArraySize(list) > NORMALIZE_MAX_CHANNELS)
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
