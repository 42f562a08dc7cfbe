#include "data/recipe.h"

#include "base/json.h"
#include "data/image.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const fits[] = {
        [RECIPE_RESIZE] = "resize", [RECIPE_CROP] = "crop", [RECIPE_TILE] = "tile"};
static const char *const values[] = {
        [RECIPE_PERCENTILES] = "percentiles", [RECIPE_PER_IMAGE] = "per_image", [RECIPE_KEEP] = "none"};
enum { WORDS = 3 };

static int find(const char *const words[WORDS], const char *text)
{
        for (int i = 0; i < WORDS; i++)
                if (strcmp(words[i], text) == 0)
                        return i;
        return -1;
}

bool recipe_same(const struct recipe *a, const struct recipe *b)
{
        return a->h == b->h && a->w == b->w && a->fit == b->fit && a->values == b->values &&
               fabs(a->pixel_nm - b->pixel_nm) <= 0;
}

bool recipe_fit_parse(const char *text, enum recipe_fit *ret)
{
        int i = find(fits, text);
        if (i >= 0)
                *ret = (enum recipe_fit)i;
        return i >= 0;
}

bool recipe_values_parse(const char *text, enum recipe_values *ret)
{
        int i = find(values, text);
        if (i >= 0)
                *ret = (enum recipe_values)i;
        return i >= 0;
}

const char *recipe_fit_name(enum recipe_fit fit)
{
        return fits[fit];
}

const char *recipe_values_name(enum recipe_values v)
{
        return values[v];
}

cJSON *recipe_json(const struct recipe *r)
{
        if (r->h == 0)
                return cJSON_CreateNull();
        cJSON *o = cJSON_CreateObject();
        json_add(o, "size", cJSON_CreateIntArray((int[]){r->h, r->w}, 2));
        cJSON_AddStringToObject(o, "fit", fits[r->fit]);
        cJSON_AddStringToObject(o, "normalize", values[r->values]);
        if (r->pixel_nm > 0)
                cJSON_AddNumberToObject(o, "pixel_size", r->pixel_nm);
        return o;
}

void recipe_write(struct str *out, const struct recipe *r)
{
        cJSON *tree = recipe_json(r);
        char *text = json_text(tree);
        cJSON_Delete(tree);
        str_add(out, text ? text : "");
        out->failed |= !text;
        free(text);
}

static int read_size(const cJSON *json, const char *at, struct recipe *r, struct err *e)
{
        char pointer[80];
        int sides[2] = {0};
        const cJSON *size = json_field(json, "size"), *side;
        cJSON_ArrayForEach(side, size)
        {
                bool ok =
                        cJSON_IsNumber(side) && side->valuedouble >= 1 && side->valuedouble <= IMAGE_MAX_SIDE;
                sides[sides[0] != 0] = ok ? side->valueint : 0;
        }
        snprintf(pointer, sizeof pointer, "%s/size", at);
        if (!cJSON_IsArray(size) || cJSON_GetArraySize(size) != 2 || !sides[0] || !sides[1])
                return err_at(e, ERR_INVALID, pointer, "\"size\" must be [height, width] of 1 to %d",
                        IMAGE_MAX_SIDE);
        r->h = sides[0];
        r->w = sides[1];
        return 0;
}

static int read_words(const cJSON *json, const char *at, struct recipe *r, struct err *e)
{
        char pointer[80];
        const cJSON *fit = json_field(json, "fit"), *normalize = json_field(json, "normalize");
        snprintf(pointer, sizeof pointer, "%s/fit", at);
        if (!cJSON_IsString(fit) || !recipe_fit_parse(fit->valuestring, &r->fit))
                return err_at(e, ERR_INVALID, pointer, "\"fit\" must be resize, crop or tile");
        snprintf(pointer, sizeof pointer, "%s/normalize", at);
        if (!cJSON_IsString(normalize) || !recipe_values_parse(normalize->valuestring, &r->values))
                return err_at(
                        e, ERR_INVALID, pointer, "\"normalize\" must be percentiles, per_image or none");
        return 0;
}

int recipe_parse(const cJSON *json, const char *at, struct recipe *ret, struct err *e)
{
        struct recipe r = {0};
        if (!json || cJSON_IsNull(json))
                return 0;
        int rc = json_is_object(json, at, e);
        if (rc == 0)
                rc = json_only(json, "size fit normalize pixel_size", at, e);
        if (rc == 0)
                rc = read_size(json, at, &r, e);
        if (rc == 0)
                rc = read_words(json, at, &r, e);
        if (rc == 0)
                rc = json_get_number(
                        json, "pixel_size", RECIPE_PIXEL_MIN, RECIPE_PIXEL_MAX, at, &r.pixel_nm, e);
        if (rc == 0)
                *ret = r;
        return rc;
}
