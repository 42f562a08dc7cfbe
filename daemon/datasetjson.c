#include "daemon/datasetjson.h"

#include "base/json.h"

static void add_counts(cJSON *counts, const char *key, const struct dataset *d, enum dataset_split s)
{
        cJSON *list = cJSON_AddArrayToObject(counts, key);
        for (int i = 0; list && i < d->num_classes; i++)
                json_push(list, cJSON_CreateNumber((double)d->split[s].class_counts[i]));
}

void datasetjson_add(cJSON *o, const struct dataset *d)
{
        const int shape[] = {d->c, d->h, d->w};
        json_add(o, "shape", cJSON_CreateIntArray(shape, 3));
        cJSON_AddStringToObject(o, "type", d->type == DATASET_U8 ? "u8" : "f32");
        cJSON_AddNumberToObject(o, "num_classes", d->num_classes);
        json_add(o, "classes", cJSON_CreateStringArray((const char *const *)d->classes, d->num_classes));
        cJSON_AddNumberToObject(o, "train", d->split[DATASET_TRAIN].count);
        cJSON_AddNumberToObject(o, "val", d->split[DATASET_VAL].count);
        cJSON *counts = cJSON_AddObjectToObject(o, "class_counts");
        add_counts(counts, "train", d, DATASET_TRAIN);
        add_counts(counts, "val", d, DATASET_VAL);
        cJSON_AddStringToObject(o, "source", d->source);
        json_add(o, "import", recipe_json(&d->recipe));
}
