#include "base/json.h"
#include "net/layers.h"
#include "train/augment.h"

cJSON *augment_kinds_json(void)
{
        cJSON *list = cJSON_CreateArray();
        for (int i = 0; list && i < augment_kinds_count; i++) {
                cJSON *item = cJSON_CreateObject();
                cJSON_AddStringToObject(item, "type", augment_kinds[i].type);
                cJSON_AddStringToObject(item, "description", augment_kinds[i].doc);
                json_add(item, "parameters", layers_fields_json(augment_kinds[i].fields));
                json_push(list, item);
        }
        return list;
}
