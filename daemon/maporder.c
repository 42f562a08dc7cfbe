#include "daemon/maporder.h"

#include "base/json.h"
#include "train/windows.h"

static int side(const cJSON *head, const char *key)
{
        const cJSON *v = json_field(head, key);
        return cJSON_IsNumber(v) && v->valueint > 0 ? v->valueint : 0;
}

int maporder_check(const struct classify_map *map, int c, const struct chan_message *m, struct err *e)
{
        struct windows layout;
        const int h = side(m->head, "h"), w = side(m->head, "w");
        if (h == 0 || w == 0 || m->raw_len != (size_t)c * (size_t)h * (size_t)w * sizeof(float))
                return err_set(e, ERR_INTERNAL, "the decoder's answer cannot be read");
        return windows_layout(h, w, map->window, map->stride, &layout, e);
}

/* The sides of the field, which the recipe may have changed. */
static const cJSON *field_of(const cJSON *image)
{
        const cJSON *prepared = json_field(image, "prepared");
        return cJSON_IsObject(prepared) ? prepared : image;
}

int maporder_fill(const struct classify_map *map, struct models *ms, const char *model, const cJSON *image,
        int c, cJSON *head, struct err *e)
{
        const struct model_facts *f;
        int rc = models_facts(ms, model, &f, e);
        if (rc)
                return rc;
        cJSON_AddStringToObject(head, "name", model);
        json_add(head, "classes",
                cJSON_CreateStringArray((const char *const *)f->classes, f->shape.num_classes));
        cJSON_AddNumberToObject(head, "c", c);
        cJSON_AddNumberToObject(head, "h", side(field_of(image), "height"));
        cJSON_AddNumberToObject(head, "w", side(field_of(image), "width"));
        cJSON_AddNumberToObject(head, "window", map->window);
        cJSON_AddNumberToObject(head, "stride", map->stride);
        cJSON_AddNumberToObject(head, "threshold", map->threshold);
        cJSON_AddBoolToObject(head, "picture", map->picture);
        json_add(head, "image", cJSON_Duplicate(image, true));
        return 0;
}
