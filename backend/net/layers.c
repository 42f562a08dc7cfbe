#include "net/layers.h"
#include "base/json.h"
#include "base/str.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *const type_names[] = {"integer", "integer or [height, width]", "boolean", "number"};

static int known_only(const struct op_kind *kind, const cJSON *layer, const char *at, struct err *e)
{
        struct str keys = {0};
        str_add(&keys, "type name");
        for (const struct op_field *f = kind->fields; f->name; f++)
                str_addf(&keys, " %s", f->name);
        if (keys.failed)
                return err_set(e, ERR_NO_MEMORY, "no memory to check a layer");
        int rc = json_only(layer, keys.data, at, e);
        str_free(&keys);
        return rc;
}

/* n or [h, w]. */
static int parse_pair(const struct op_field *f, const cJSON *layer, const char *at, int pair[2], struct err *e)
{
        const cJSON *v = json_field(layer, f->name);
        int64_t side[2];
        if (!cJSON_IsArray(v)) {
                side[0] = 0;
                int rc = json_get_int(layer, f->name, (int64_t)f->min, (int64_t)f->max, at, &side[0], e);
                if (rc == 0)
                        pair[0] = pair[1] = (int)side[0];
                return rc;
        }
        char pointer[192];
        int n = 0;
        const cJSON *item;
        cJSON_ArrayForEach(item, v)
        {
                bool ok = cJSON_IsNumber(item) && item->valuedouble == floor(item->valuedouble) &&
                          item->valuedouble >= f->min && item->valuedouble <= f->max;
                if (!ok || n == 2)
                        break;
                pair[n++] = (int)item->valuedouble;
        }
        if (n == 2 && cJSON_GetArraySize(v) == 2)
                return 0;
        snprintf(pointer, sizeof pointer, "%s/%s", at, f->name);
        return err_at(e, ERR_INVALID, pointer, "\"%s\" must be a whole number or two of them, from %g to %g",
                f->name, f->min, f->max);
}

static void put_fallback(const struct op_field *f, char *field)
{
        int number = isnan(f->fallback) ? 0 : (int)f->fallback;
        switch (f->type) {
        case OP_INT:
                memcpy(field, &number, sizeof number);
                break;
        case OP_PAIR:
                memcpy(field, (int[2]){number, number}, 2 * sizeof number);
                break;
        case OP_BOOL:
                memcpy(field, &(bool){f->fallback != 0}, sizeof(bool));
                break;
        case OP_NUMBER:
                memcpy(field, &f->fallback, sizeof f->fallback);
                break;
        }
}

static int parse_field(const struct op_field *f, const cJSON *layer, const char *at, char *field, struct err *e)
{
        int64_t number = 0;
        int rc;
        switch (f->type) {
        case OP_INT:
                rc = json_get_int(layer, f->name, (int64_t)f->min, (int64_t)f->max, at, &number, e);
                if (rc == 0)
                        memcpy(field, &(int){(int)number}, sizeof(int));
                return rc;
        case OP_PAIR:
                return parse_pair(f, layer, at, (int *)(void *)field, e);
        case OP_BOOL:
                return json_get_bool(layer, f->name, at, (bool *)(void *)field, e);
        default:
                return json_get_number(layer, f->name, f->min, f->max, at, (double *)(void *)field, e);
        }
}

int layers_parse_args(const struct op_kind *kind, const cJSON *layer, const char *at, void *args, struct err *e)
{
        int rc = known_only(kind, layer, at, e);
        for (const struct op_field *f = kind->fields; f->name && rc == 0; f++) {
                char *field = (char *)args + f->offset;
                if (f->required)
                        rc = json_need(layer, f->name, at, e);
                if (rc)
                        break;
                put_fallback(f, field);
                if (json_field(layer, f->name))
                        rc = parse_field(f, layer, at, field, e);
        }
        return rc;
}

cJSON *layers_fields_json(const struct op_field *fields)
{
        cJSON *list = cJSON_CreateArray();
        for (const struct op_field *f = fields; list && f->name; f++) {
                cJSON *item = cJSON_CreateObject();
                cJSON_AddStringToObject(item, "name", f->name);
                cJSON_AddStringToObject(item, "type", type_names[f->type]);
                cJSON_AddBoolToObject(item, "required", f->required);
                if (!f->required && f->type == OP_BOOL)
                        cJSON_AddBoolToObject(item, "default", f->fallback != 0);
                else if (!f->required && !isnan(f->fallback))
                        cJSON_AddNumberToObject(item, "default", f->fallback);
                cJSON_AddItemToArray(list, item);
        }
        return list;
}
