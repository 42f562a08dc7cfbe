#include "daemon/serving/maporder.h"

#include "base/json.h"
#include "train/windows.h"

/* The field as it was sent, which the recipe may have changed. */
static const struct image_size *field_of(const struct image_facts *p)
{
        return p->prepared ? &p->made : &p->came;
}

int maporder_check(
        const struct classify_map *map, int c, const struct image_facts *facts, size_t bytes, struct err *e)
{
        struct windows layout;
        const int h = field_of(facts)->height, w = field_of(facts)->width;
        if (h < 1 || w < 1 || h > DECODE_FIELD_SIDE || w > DECODE_FIELD_SIDE ||
                bytes != (size_t)c * (size_t)h * (size_t)w * sizeof(float))
                return err_set(e, ERR_INTERNAL, "the decoder's answer cannot be read");
        return windows_layout(h, w, map->window, map->stride, &layout, e);
}

static int add_image(cJSON *head, const struct image_facts *facts, struct err *e)
{
        struct str text = {0};
        image_facts_write(facts, &text);
        cJSON *image = text.failed ? NULL : json_parse(text.data, text.len, e);
        int rc = image ? 0 : err_set(e, ERR_NO_MEMORY, "no memory for a request");
        if (rc == 0)
                json_add(head, "image", image);
        str_free(&text);
        return rc;
}

int maporder_fill(const struct classify_map *map, struct models *ms, const char *model,
        const struct image_facts *facts, int c, cJSON *head, struct err *e)
{
        const struct model_facts *f;
        int rc = models_facts(ms, model, &f, e);
        if (rc)
                return rc;
        cJSON_AddStringToObject(head, "name", model);
        json_add(head, "classes",
                cJSON_CreateStringArray((const char *const *)f->classes, f->shape.num_classes));
        cJSON_AddNumberToObject(head, "c", c);
        cJSON_AddNumberToObject(head, "h", field_of(facts)->height);
        cJSON_AddNumberToObject(head, "w", field_of(facts)->width);
        cJSON_AddNumberToObject(head, "window", map->window);
        cJSON_AddNumberToObject(head, "stride", map->stride);
        cJSON_AddNumberToObject(head, "threshold", map->threshold);
        cJSON_AddBoolToObject(head, "picture", map->picture);
        return add_image(head, facts, e);
}
