#include "train/saved.h"

#include "base/json.h"
#include "train/preprocessing.h"
#include "zoo/zoo.h"

#include <string.h>

static cJSON *metadata_json(const struct safetensors *file, const char *key, struct err *e)
{
        const char *text = safetensors_metadata(file, key);
        if (!text) {
                err_set(e, ERR_INVALID, "the model's file does not say its %s", key);
                return NULL;
        }
        cJSON *json = json_parse(text, strlen(text), e);
        if (!json)
                err_wrap(e, "the model's %s", key);
        return json;
}

static int read_input(const cJSON *json, struct shape *ret, struct err *e)
{
        int sides[3] = {0}, n = 0;
        const cJSON *item;
        cJSON_ArrayForEach(item, json)
        {
                if (n < 3 && cJSON_IsNumber(item) && item->valuedouble >= 1 && item->valuedouble <= 65536)
                        sides[n++] = (int)item->valuedouble;
        }
        if (n != 3 || cJSON_GetArraySize(json) != 3)
                return err_set(e, ERR_INVALID, "the model's input is not [channels, height, width]");
        *ret = (struct shape){sides[0], sides[1], sides[2]};
        return 0;
}

/* Files that say nothing, or {}, are of models without normalisation. */
static int read_preprocessing(struct saved *s, const struct safetensors *file, struct err *e)
{
        if (!safetensors_metadata(file, "preprocessing"))
                return 0;
        cJSON *json = metadata_json(file, "preprocessing", e);
        int rc = json ? preprocessing_parse(json, s->net->values[0].s, &s->normalize, e)
                 : e  ? e->code
                      : ERR_INVALID;
        cJSON_Delete(json);
        return rc ? rc : preprocessing_recipe(safetensors_metadata(file, "preprocessing"), &s->recipe, e);
}

static int read_net(struct saved *s, const struct safetensors *file, struct err *e)
{
        struct shape input;
        cJSON *architecture = metadata_json(file, "architecture", e);
        cJSON *sides = architecture ? metadata_json(file, "input", e) : NULL;
        s->classes = sides ? metadata_json(file, "classes", e) : NULL;
        int rc = s->classes ? read_input(sides, &input, e) : e ? e->code : ERR_INVALID;
        if (rc == 0)
                rc = zoo_net(architecture, cJSON_GetArraySize(s->classes), input, &s->net, e);
        cJSON_Delete(architecture);
        cJSON_Delete(sides);
        return rc;
}

void saved_finish(struct saved *s)
{
        net_destroy(s->net);
        cJSON_Delete(s->classes);
        normalize_finish(&s->normalize);
        *s = (struct saved){0};
}

int saved_read(const struct safetensors *file, struct saved *ret, struct err *e)
{
        struct saved s = {0};
        int rc = read_net(&s, file, e);
        if (rc == 0)
                rc = read_preprocessing(&s, file, e);
        if (rc)
                saved_finish(&s);
        else
                *ret = s;
        return rc;
}
