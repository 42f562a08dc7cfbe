#include "train/preprocessing.h"
#include "base/json.h"

#include <string.h>

char *preprocessing_text(const struct recipe *import, const struct normalize *z, struct shape input)
{
        cJSON *root = cJSON_CreateObject();
        if (import->h)
                json_add(root, "import", recipe_json(import));
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

static int check_resize(const cJSON *size, struct shape input, struct err *e)
{
        const cJSON *h = cJSON_GetArrayItem(size, 0), *w = cJSON_GetArrayItem(size, 1);
        if (!size || (cJSON_IsArray(size) && cJSON_GetArraySize(size) == 2 && cJSON_IsNumber(h) &&
                             cJSON_IsNumber(w) && h->valuedouble == input.h && w->valuedouble == input.w))
                return 0;
        return err_at(e, ERR_INVALID, "/preprocessing/resize",
                "\"resize\" must be the model's input, [%d,%d]", input.h, input.w);
}

int preprocessing_parse(const cJSON *json, struct shape input, struct normalize *ret, struct err *e)
{
        static const char at[] = "/preprocessing";
        struct normalize z = {0};
        struct recipe import = {0};
        if (!json || cJSON_IsNull(json))
                return 0;
        int rc = json_is_object(json, at, e);
        if (rc == 0)
                rc = json_only(json, "import resize normalize", at, e);
        if (rc == 0)
                rc = recipe_parse(json_field(json, "import"), "/preprocessing/import", &import, e);
        if (rc == 0)
                rc = check_resize(json_field(json, "resize"), input, e);
        if (rc == 0)
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

int preprocessing_recipe(const char *text, struct recipe *ret, struct err *e)
{
        *ret = (struct recipe){0};
        if (!text)
                return 0;
        cJSON *json = json_parse(text, strlen(text), e);
        int rc = json ? recipe_parse(json_field(json, "import"), "/preprocessing/import", ret, e) : e->code;
        cJSON_Delete(json);
        return rc;
}
