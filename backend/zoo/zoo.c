#include "zoo/zoo.h"
#include "base/json.h"
#include "base/str.h"
#include "zoo/presets.h"

#include <string.h>

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

/* What the user gave, checked by name, and the defaults for the rest. */
static int fill_params(const struct zoo_preset *preset, const cJSON *given, cJSON **ret, struct err *e)
{
        struct str keys = {0};
        cJSON *all = cJSON_CreateObject();
        str_add(&keys, "name num_classes");
        for (const struct zoo_param *p = preset->params; p && p->name; p++) {
                const cJSON *value = json_field(given, p->name);
                str_addf(&keys, " %s", p->name);
                cJSON_AddItemToObject(all, p->name, value ? cJSON_Duplicate(value, 1) : cJSON_Parse(p->fallback));
        }
        int rc = keys.failed || !all ? err_set(e, ERR_NO_MEMORY, "no memory for an architecture") : 0;
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

static int build(const struct zoo_preset *preset, const cJSON *given, int num_classes, cJSON **ret, struct err *e)
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
        const struct zoo_preset *preset = rc == 0 ? find(name) : NULL;
        if (rc == 0 && !preset)
                rc = no_preset(name, "/name", e);
        if (rc == 0)
                rc = json_get_int(object, "num_classes", 1, 65536, "", &classes, e);
        if (rc == 0 && num_classes && classes != num_classes)
                rc = err_at(e, ERR_INVALID, "/num_classes", "num_classes is %d; the data has %d classes", (int)classes,
                        num_classes);
        return rc ? rc : build(preset, object, (int)classes, ret, e);
}

int zoo_expand(const cJSON *architecture, int num_classes, cJSON **ret, struct err *e)
{
        if (cJSON_IsString(architecture)) {
                const struct zoo_preset *preset = find(architecture->valuestring);
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
