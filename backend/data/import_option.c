#include "base/str.h"
#include "data/dataset.h"
#include "data/import.h"

#include <string.h>

void import_defaults(struct import_options *o)
{
        *o = (struct import_options){.val = -1};
}

/* Digits only, up to `end`. */
static bool read_side(const char *text, const char **end, int *ret)
{
        int v = 0;
        const char *p = text;
        for (; *p >= '0' && *p <= '9' && v <= DATASET_MAX_SIDE; p++)
                v = v * 10 + (*p - '0');
        if (p == text || v < 1 || v > DATASET_MAX_SIDE)
                return false;
        *end = p;
        *ret = v;
        return true;
}

static int set_size(struct import_options *o, const char *value, struct err *e)
{
        int h = 0, w = 0;
        const char *end = value;
        bool ok = read_side(value, &end, &h);
        if (ok && *end == 'x')
                ok = read_side(end + 1, &end, &w);
        else
                w = h;
        if (!ok || *end)
                return err_set(e, ERR_INVALID, "\"size\" must be N or HEIGHTxWIDTH with sides of 1 to %d",
                        DATASET_MAX_SIDE);
        o->recipe.h = h;
        o->recipe.w = w;
        return 0;
}

static int set_pixel(struct import_options *o, const char *value, struct err *e)
{
        double v;
        if (!str_to_number(value, &v) || !(v >= RECIPE_PIXEL_MIN && v <= RECIPE_PIXEL_MAX))
                return err_set(e, ERR_INVALID, "\"pixel_size\" must be nanometres from %g to %g",
                        RECIPE_PIXEL_MIN, RECIPE_PIXEL_MAX);
        o->recipe.pixel_nm = v;
        return 0;
}

static int set_val(struct import_options *o, const char *value, struct err *e)
{
        double v;
        if (!str_to_number(value, &v) || !(v >= 0 && v <= 1))
                return err_set(e, ERR_INVALID, "\"val\" must be a share from 0 to 1");
        o->val = v;
        return 0;
}

int import_option(struct import_options *o, const char *key, const char *value, struct err *e)
{
        const char *end = NULL;
        if (strcmp(key, "size") == 0)
                return set_size(o, value, e);
        if (strcmp(key, "pixel_size") == 0)
                return set_pixel(o, value, e);
        if (strcmp(key, "fit") == 0)
                return recipe_fit_parse(value, &o->recipe.fit)
                               ? 0
                               : err_set(e, ERR_INVALID, "\"fit\" must be resize, crop or tile");
        if (strcmp(key, "val") == 0)
                return set_val(o, value, e);
        if (strcmp(key, "stride") == 0) {
                if (read_side(value, &end, &o->stride) && !*end)
                        return 0;
                return err_set(e, ERR_INVALID, "\"stride\" must be 1 to %d pixels", DATASET_MAX_SIDE);
        }
        if (strcmp(key, "channels") == 0) {
                if (strcmp(value, "1") != 0 && strcmp(value, "3") != 0)
                        return err_set(e, ERR_INVALID, "\"channels\" must be 1 or 3");
                o->channels = value[0] - '0';
                return 0;
        }
        if (strcmp(key, "normalize") == 0)
                return recipe_values_parse(value, &o->recipe.values)
                               ? 0
                               : err_set(e, ERR_INVALID,
                                         "\"normalize\" must be percentiles, per_image or none");
        return err_set(e, ERR_INVALID, "unknown option \"%.60s\"", key);
}

int import_options_check(const struct import_options *o, struct err *e)
{
        if (o->recipe.fit != RECIPE_RESIZE && o->recipe.h == 0)
                return err_set(e, ERR_INVALID, "\"fit\" needs a \"size\"");
        if (o->stride && o->recipe.fit != RECIPE_TILE)
                return err_set(e, ERR_INVALID, "\"stride\" is for fit=tile");
        return 0;
}
