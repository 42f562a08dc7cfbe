/* Trees that are built, and their text. */
#include "base/json.h"
#include "base/str.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* cJSON builds what it can and tells nobody of the rest. */
static _Thread_local bool fell_short;

static void *take_memory(size_t size)
{
        void *p = malloc(size);
        fell_short = fell_short || !p;
        return p;
}

__attribute__((constructor)) static void watch_memory(void)
{
        cJSON_InitHooks(&(cJSON_Hooks){.malloc_fn = take_memory, .free_fn = free});
}

void json_begin(void)
{
        fell_short = false;
}

bool json_fell_short(void)
{
        const bool ret = fell_short;
        fell_short = false;
        return ret;
}

void json_add(cJSON *obj, const char *key, cJSON *item)
{
        if (cJSON_AddItemToObject(obj, key, item))
                return;
        cJSON_Delete(item);
        fell_short = true;
}

cJSON *json_push(cJSON *list, cJSON *item)
{
        if (cJSON_AddItemToArray(list, item))
                return item;
        cJSON_Delete(item);
        fell_short = true;
        return NULL;
}

/* So that json_parse gives the same double. Beyond 2^53 with an exponent: no integer that may have lost
 * digits. */
static void print_number(struct str *s, double v)
{
        char text[40];
        if (!isfinite(v)) {
                str_add(s, "null");
                return;
        }
        if (v == floor(v) && fabs(v) <= JSON_WHOLE_MAX) {
                str_add_int(s, (int64_t)v);
                return;
        }
        for (int digits = 15; digits <= 17; digits++) {
                snprintf(text, sizeof text, "%.*g", digits, v);
                if (strtod(text, NULL) == v)
                        break;
        }
        if (fabs(v) > JSON_WHOLE_MAX && !strchr(text, 'e'))
                snprintf(text, sizeof text, "%.16e", v);
        str_add(s, text);
}

static void print_value(struct str *s, const cJSON *tree)
{
        const bool object = cJSON_IsObject(tree);
        const cJSON *child;
        if (cJSON_IsString(tree)) {
                str_add_json(s, tree->valuestring);
        } else if (cJSON_IsNumber(tree)) {
                print_number(s, tree->valuedouble);
        } else if (cJSON_IsRaw(tree)) {
                str_add(s, tree->valuestring);
        } else if (object || cJSON_IsArray(tree)) {
                str_add(s, object ? "{" : "[");
                cJSON_ArrayForEach(child, tree)
                {
                        str_add(s, child == tree->child ? "" : ",");
                        if (object) {
                                str_add_json(s, child->string);
                                str_add(s, ":");
                        }
                        print_value(s, child);
                }
                str_add(s, object ? "}" : "]");
        } else {
                str_add(s, cJSON_IsTrue(tree) ? "true" : cJSON_IsFalse(tree) ? "false" : "null");
        }
}

/* Not by cJSON_Print, which takes neighbouring doubles for one: a seed of 2^53 - 1 comes out as another. */
char *json_text(const cJSON *tree)
{
        struct str s = {0};
        if (json_fell_short() || !tree)
                return NULL;
        print_value(&s, tree);
        return str_take(&s);
}
