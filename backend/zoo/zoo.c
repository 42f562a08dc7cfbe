#include "zoo/zoo.h"
#include "base/json.h"
#include "base/str.h"
#include "zoo/presets.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

cJSON *zoo_layer(cJSON *layers, const char *type)
{
        cJSON *layer = cJSON_CreateObject();
        cJSON_AddStringToObject(layer, "type", type);
        cJSON_AddItemToArray(layers, layer);
        return layer;
}

cJSON *zoo_conv(cJSON *layers, int out_channels, int kernel_size, int stride, int padding)
{
        cJSON *layer = zoo_layer(layers, "conv2d");
        cJSON_AddNumberToObject(layer, "out_channels", out_channels);
        cJSON_AddNumberToObject(layer, "kernel_size", kernel_size);
        cJSON_AddNumberToObject(layer, "stride", stride);
        cJSON_AddNumberToObject(layer, "padding", padding);
        return layer;
}

cJSON *zoo_pool(cJSON *layers, const char *type, int kernel_size, int stride, int padding)
{
        cJSON *layer = zoo_layer(layers, type);
        cJSON_AddNumberToObject(layer, "kernel_size", kernel_size);
        cJSON_AddNumberToObject(layer, "stride", stride);
        cJSON_AddNumberToObject(layer, "padding", padding);
        return layer;
}

cJSON *zoo_linear(cJSON *layers, int out_features)
{
        cJSON *layer = zoo_layer(layers, "linear");
        cJSON_AddNumberToObject(layer, "out_features", out_features);
        return layer;
}

int zoo_done(cJSON *layers, cJSON **ret, struct err *e)
{
        cJSON *architecture = cJSON_CreateObject();
        if (!layers || !architecture || !cJSON_AddItemToObject(architecture, "layers", layers)) {
                cJSON_Delete(layers);
                cJSON_Delete(architecture);
                return err_set(e, ERR_NO_MEMORY, "no memory for an architecture");
        }
        *ret = architecture;
        return 0;
}

static const struct zoo_preset *find(const char *name)
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

static int expand_preset(const cJSON *object, int num_classes, cJSON **ret, struct err *e)
{
        const char *name = NULL;
        struct str keys = {0};
        int64_t classes = num_classes ? num_classes : 10;
        int rc = json_get_string(object, "name", 64, "", &name, e);
        const struct zoo_preset *preset = rc == 0 ? find(name) : NULL;
        if (rc == 0 && !preset)
                rc = no_preset(name, "/name", e);
        if (rc)
                return rc;
        str_addf(&keys, "name num_classes %s", preset->parameters);
        rc = keys.failed ? err_set(e, ERR_NO_MEMORY, "no memory for an architecture")
                         : json_only(object, keys.data, "", e);
        str_free(&keys);
        if (rc == 0)
                rc = json_get_int(object, "num_classes", 1, 65536, "", &classes, e);
        if (rc == 0 && num_classes && classes != num_classes)
                rc = err_at(e, ERR_INVALID, "/num_classes", "num_classes is %d; the data has %d classes",
                        (int)classes, num_classes);
        if (rc == 0)
                rc = preset->build(object, (int)classes, ret, e);
        return rc;
}

int zoo_expand(const cJSON *architecture, int num_classes, cJSON **ret, struct err *e)
{
        if (cJSON_IsString(architecture)) {
                const struct zoo_preset *preset = find(architecture->valuestring);
                if (!preset)
                        return no_preset(architecture->valuestring, "", e);
                return preset->build(NULL, num_classes ? num_classes : 10, ret, e);
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
                why.pointer[0] = '\0'; /* the layers are not in what the user wrote */
                err_wrap(&why, "%.64s on %dx%dx%d%s", preset, input.c, input.h, input.w, layer);
        }
        if (rc && e)
                *e = why;
        cJSON_Delete(layers);
        return rc;
}
