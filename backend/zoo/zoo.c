#include "zoo/zoo.h"
#include "base/json.h"
#include "base/str.h"
#include "zoo/presets.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct zoo_preset *zoo_find(const char *name)
{
        for (int i = 0; i < zoo_presets_count; i++)
                if (strcmp(zoo_presets[i]->name, name) == 0)
                        return zoo_presets[i];
        return NULL;
}

static int no_preset(const char *name, const char *pointer, struct err *e)
{
        struct str known = {0};
        for (int i = 0; i < zoo_presets_count; i++)
                str_addf(&known, " %s", zoo_presets[i]->name);
        int rc = err_at(e, ERR_INVALID, pointer, "there is no architecture \"%.64s\"; known are:%s", name,
                known.data ? known.data : "");
        str_free(&known);
        return rc;
}

/* What the user gave, checked by name, and the defaults for the rest. */
static int fill_params(const struct zoo_preset *preset, const cJSON *given, cJSON **ret, struct err *e)
{
        struct str keys = {0};
        cJSON *all = cJSON_CreateObject();
        str_add(&keys, "name num_classes");
        for (const struct zoo_param *p = preset->params; p && p->name; p++) {
                const cJSON *value = json_field(given, p->name);
                str_addf(&keys, " %s", p->name);
                json_add(all, p->name, value ? cJSON_Duplicate(value, 1) : cJSON_Parse(p->fallback));
        }
        int rc = keys.failed || json_fell_short() ? err_set(e, ERR_NO_MEMORY, "no memory for an architecture")
                                                  : 0;
        if (rc == 0 && given)
                rc = json_only(given, keys.data, "", e);
        str_free(&keys);
        if (rc) {
                cJSON_Delete(all);
                return rc;
        }
        *ret = all;
        return 0;
}

static int build(
        const struct zoo_preset *preset, const cJSON *given, int num_classes, cJSON **ret, struct err *e)
{
        cJSON *params;
        int rc = fill_params(preset, given, &params, e);
        if (rc)
                return rc;
        rc = preset->build(params, preset->variant, num_classes, ret, e);
        cJSON_Delete(params);
        return rc;
}

static int expand_preset(const cJSON *object, int num_classes, cJSON **ret, struct err *e)
{
        const char *name = NULL;
        int64_t classes = num_classes ? num_classes : 10;
        int rc = json_get_string(object, "name", 64, "", &name, e);
        const struct zoo_preset *preset = rc == 0 ? zoo_find(name) : NULL;
        if (rc == 0 && !preset)
                rc = no_preset(name, "/name", e);
        if (rc == 0)
                rc = json_get_int(object, "num_classes", 1, 65536, "", &classes, e);
        if (rc == 0 && num_classes && classes != num_classes)
                rc = err_at(e, ERR_INVALID, "/num_classes", "num_classes is %d; the data has %d classes",
                        (int)classes, num_classes);
        return rc ? rc : build(preset, object, (int)classes, ret, e);
}

int zoo_expand(const cJSON *architecture, int num_classes, cJSON **ret, struct err *e)
{
        if (cJSON_IsString(architecture)) {
                const struct zoo_preset *preset = zoo_find(architecture->valuestring);
                if (!preset)
                        return no_preset(architecture->valuestring, "", e);
                return build(preset, NULL, num_classes ? num_classes : 10, ret, e);
        }
        int rc = json_is_object(architecture, "", e);
        if (rc)
                return rc;
        if (json_field(architecture, "name"))
                return expand_preset(architecture, num_classes, ret, e);
        rc = json_need(architecture, "layers", "", e);
        if (rc == 0)
                rc = json_only(architecture, "layers", "", e);
        if (rc)
                return rc;
        *ret = cJSON_Duplicate(architecture, 1);
        return *ret ? 0 : err_set(e, ERR_NO_MEMORY, "no memory for an architecture");
}

/* The name of the preset that was asked for; NULL where the layers are the user's own. */
static const char *preset_name(const cJSON *architecture)
{
        const cJSON *name = cJSON_IsObject(architecture) ? json_field(architecture, "name") : architecture;
        return cJSON_IsString(name) ? name->valuestring : NULL;
}

/* ", layer 3.1 (conv2d)" of "/layers/3/layers/1/kernel_size"; "" where the pointer names no layer. */
static void describe_layer(const cJSON *layers, const char *pointer, char *out, size_t size)
{
        const cJSON *at = layers, *type = NULL;
        char path[64] = "";
        for (const char *p = pointer; at && *p == '/'; p += strcspn(p, "/")) {
                char token[64];
                snprintf(token, sizeof token, "%.*s", (int)strcspn(p + 1, "/"), p + 1);
                p++;
                if (cJSON_IsArray(at)) {
                        size_t used = strlen(path);
                        snprintf(path + used, sizeof path - used, "%s%.11s", used ? "." : "", token);
                        at = cJSON_GetArrayItem(at, (int)strtol(token, NULL, 10));
                        const cJSON *found = cJSON_IsObject(at) ? json_field(at, "type") : NULL;
                        type = found ? found : type;
                } else {
                        at = cJSON_IsObject(at) ? json_field(at, token) : NULL;
                }
        }
        out[0] = '\0';
        if (cJSON_IsString(type))
                snprintf(out, size, ", layer %s (%.40s)", path, type->valuestring);
}

/* The windows of a preset are made for images of some size. */
static void advise_size(struct err *e)
{
        const struct err was = *e;
        err_set(e, was.code, "%s: it takes larger images, which \"resize\" of the data set makes",
                was.message);
}

int zoo_net(const cJSON *architecture, int num_classes, struct shape input, struct net **ret, struct err *e)
{
        cJSON *layers = NULL;
        struct err why = {0};
        int rc = zoo_expand(architecture, num_classes, &layers, e);
        if (rc)
                return rc;
        rc = net_create(layers, input, ret, &why);
        const char *preset = rc ? preset_name(architecture) : NULL;
        if (preset && why.pointer[0]) {
                char layer[128];
                describe_layer(layers, why.pointer, layer, sizeof layer);
                bool window = strstr(why.pointer, "/kernel_size") != NULL;
                why.pointer[0] = '\0'; /* the layers are not in what the user wrote */
                err_wrap(&why, "%.64s on %dx%dx%d%s", preset, input.c, input.h, input.w, layer);
                if (window)
                        advise_size(&why);
        }
        if (rc && e)
                *e = why;
        cJSON_Delete(layers);
        return rc;
}
