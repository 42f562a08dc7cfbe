#include "net/layers.h"
#include "base/json.h"
#include "base/str.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *const type_names[] = {"integer", "integer or [height, width]", "boolean", "number",
        "string", "integer or list of integers", "integer, [height, width], \"same\" or \"valid\"",
        "[number, number]"};

/* What PyTorch's classes are told, and a layer here has from the one before. */
static int refuse_inferred(const cJSON *layer, const char *at, struct err *e)
{
        static const char *const inferred[] = {"in_channels", "in_features", "num_features"};
        for (size_t i = 0; i < sizeof inferred / sizeof inferred[0]; i++) {
                char pointer[192];
                if (!json_field(layer, inferred[i]))
                        continue;
                snprintf(pointer, sizeof pointer, "%s/%s", at, inferred[i]);
                return err_at(e, ERR_INVALID, pointer, "\"%s\" follows from the layer before: leave it out",
                        inferred[i]);
        }
        return 0;
}

static int known_only(const struct op_kind *kind, const cJSON *layer, const char *at, struct err *e)
{
        struct str keys = {0};
        int inferred = refuse_inferred(layer, at, e);
        if (inferred)
                return inferred;
        str_add(&keys, "type name");
        for (const struct op_field *f = kind->fields; f->name; f++)
                str_addf(&keys, " %s", f->name);
        int rc = keys.failed ? err_set(e, ERR_NO_MEMORY, "no memory to check a layer")
                             : json_only(layer, keys.data, at, e);
        str_free(&keys);
        return rc;
}

/* n or [h, w]. */
static int parse_pair(
        const struct op_field *f, const cJSON *layer, const char *at, int pair[2], struct err *e)
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

/* n, [h, w] or PyTorch's words. */
static int parse_padding(
        const struct op_field *f, const cJSON *layer, const char *at, int pair[2], struct err *e)
{
        const cJSON *v = json_field(layer, f->name);
        char pointer[192];
        if (!cJSON_IsString(v))
                return parse_pair(f, layer, at, pair, e);
        if (strcmp(v->valuestring, "same") == 0 || strcmp(v->valuestring, "valid") == 0) {
                pair[0] = pair[1] = v->valuestring[0] == 's' ? OP_SAME : 0;
                return 0;
        }
        snprintf(pointer, sizeof pointer, "%s/%s", at, f->name);
        return err_at(e, ERR_INVALID, pointer,
                "\"%s\" must be \"same\", \"valid\", a whole number or two of them, from %g to %g", f->name,
                f->min, f->max);
}

/* n or a list. */
static int parse_dims(
        const struct op_field *f, const cJSON *layer, const char *at, struct op_dims *ret, struct err *e)
{
        const cJSON *v = json_field(layer, f->name), *item;
        const int room = (int)(sizeof ret->sizes / sizeof ret->sizes[0]);
        char pointer[192];
        int count = 0;
        if (!cJSON_IsArray(v)) {
                int64_t size = 0;
                int rc = json_get_int(layer, f->name, (int64_t)f->min, (int64_t)f->max, at, &size, e);
                if (rc == 0)
                        *ret = (struct op_dims){1, {(int)size}};
                return rc;
        }
        cJSON_ArrayForEach(item, v)
        {
                bool ok = cJSON_IsNumber(item) && item->valuedouble == floor(item->valuedouble) &&
                          item->valuedouble >= f->min && item->valuedouble <= f->max;
                if (!ok || count == room)
                        break;
                ret->sizes[count++] = (int)item->valuedouble;
        }
        ret->count = count;
        if (count > 0 && count == cJSON_GetArraySize(v))
                return 0;
        snprintf(pointer, sizeof pointer, "%s/%s", at, f->name);
        return err_at(e, ERR_INVALID, pointer,
                "\"%s\" must be a whole number or a list of one to %d of them, from %.0f to %.0f", f->name,
                room, f->min, f->max);
}

static int parse_choice(const struct op_field *f, const cJSON *layer, const char *at, int *ret, struct err *e)
{
        const char *word = "";
        char pointer[192];
        int number = 0;
        int rc = json_get_string(layer, f->name, 40, at, &word, e);
        if (rc)
                return rc;
        for (const char *p = f->choices; p; number++) {
                const size_t length = strcspn(p, " ");
                if (strlen(word) == length && strncmp(word, p, length) == 0) {
                        *ret = number;
                        return 0;
                }
                p = p[length] ? p + length + 1 : NULL;
        }
        snprintf(pointer, sizeof pointer, "%s/%s", at, f->name);
        return err_at(e, ERR_INVALID, pointer, "\"%s\" must be one of: %s", f->name, f->choices);
}

/* The list of choices, and which one is taken where the field is absent. */
static void add_choices(cJSON *item, const struct op_field *f)
{
        cJSON *list = cJSON_AddArrayToObject(item, "choices");
        int number = 0;
        for (const char *p = f->choices; p; number++) {
                char word[40];
                const size_t length = strcspn(p, " ");
                snprintf(word, sizeof word, "%.*s", (int)length, p);
                json_push(list, cJSON_CreateString(word));
                if (!f->required && number == (int)f->fallback)
                        cJSON_AddStringToObject(item, "default", word);
                p = p[length] ? p + length + 1 : NULL;
        }
}

static int parse_field(
        const struct op_field *f, const cJSON *layer, const char *at, char *field, struct err *e)
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
        case OP_CHOICE:
                return parse_choice(f, layer, at, (int *)(void *)field, e);
        case OP_DIMS:
                return parse_dims(f, layer, at, (struct op_dims *)(void *)field, e);
        case OP_PADDING:
                return parse_padding(f, layer, at, (int *)(void *)field, e);
        default:
                return json_get_number(layer, f->name, f->min, f->max, at, (double *)(void *)field, e);
        }
}

int layers_parse_args(
        const struct op_kind *kind, const cJSON *layer, const char *at, void *args, struct err *e)
{
        int rc = known_only(kind, layer, at, e);
        for (const struct op_field *f = kind->fields; f->name && rc == 0; f++) {
                char *field = (char *)args + f->offset;
                if (f->required)
                        rc = json_need(layer, f->name, at, e);
                if (rc)
                        break;
                op_field_default(f, field);
                if (json_field(layer, f->name))
                        rc = parse_field(f, layer, at, field, e);
        }
        return rc;
}

cJSON *layers_fields_json(const struct op_field *fields)
{
        cJSON *list = cJSON_CreateArray();
        for (const struct op_field *f = fields; f->name; f++) {
                cJSON *item = cJSON_CreateObject();
                cJSON_AddStringToObject(item, "name", f->name);
                cJSON_AddStringToObject(item, "type", type_names[f->type]);
                cJSON_AddBoolToObject(item, "required", f->required);
                if (f->type == OP_CHOICE)
                        add_choices(item, f);
                else if (!f->required && f->type == OP_NUMBERS)
                        json_add(item, "default",
                                cJSON_CreateDoubleArray((double[2]){f->fallback, f->fallback}, 2));
                else if (!f->required && f->type == OP_BOOL)
                        cJSON_AddBoolToObject(item, "default", f->fallback != 0);
                else if (!f->required && !isnan(f->fallback))
                        cJSON_AddNumberToObject(item, "default", f->fallback);
                json_push(list, item);
        }
        return list;
}
