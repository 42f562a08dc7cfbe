#include "daemon/decoder/imagefacts.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static struct image_size size_of(const struct image *im)
{
        return (struct image_size){.pixel_h = im->pixel_h,
                .pixel_w = im->pixel_w,
                .channels = im->c,
                .height = im->h,
                .width = im->w,
                .unit = (int32_t)im->unit};
}

void image_facts_describe(struct image_facts *p, const struct image *im)
{
        *p = (struct image_facts){.frames = im->n, .databar_height = im->databar_h, .came = size_of(im)};
        snprintf(p->format, sizeof p->format, "%s", im->format);
}

void image_facts_prepared(struct image_facts *p, const struct image *im, enum recipe_values values)
{
        p->prepared = 1;
        p->rescaled = im->h != p->came.height || im->w != p->came.width;
        p->values = (int32_t)values;
        p->made = size_of(im);
}

static bool size_is_sane(const struct image_size *s)
{
        return s->unit >= IMAGE_UNKNOWN && s->unit <= IMAGE_PER_METRE && isfinite(s->pixel_h) &&
               isfinite(s->pixel_w);
}

int image_facts_check(const struct image_facts *p, struct err *e)
{
        if (memchr(p->format, '\0', sizeof p->format) && p->values >= RECIPE_PERCENTILES &&
                p->values <= RECIPE_KEEP && size_is_sane(&p->came) && size_is_sane(&p->made))
                return 0;
        return err_set(e, ERR_INTERNAL, "the decoder's answer cannot be read");
}

static void add_int(struct str *out, const char *key, int32_t v)
{
        str_add(out, key);
        str_add_int(out, v);
}

static void add_pixel(struct str *out, const struct image_size *s)
{
        if (s->unit == IMAGE_UNKNOWN) {
                str_add(out, ",\"pixel_size\":null,\"pixel_unit\":null");
                return;
        }
        str_add(out, ",\"pixel_size\":[");
        str_add_double(out, s->pixel_h);
        str_add(out, ",");
        str_add_double(out, s->pixel_w);
        str_add(out, s->unit == IMAGE_METRES ? "],\"pixel_unit\":\"m\"" : "],\"pixel_unit\":\"1/m\"");
}

void image_facts_write(const struct image_facts *p, struct str *out)
{
        str_add(out, "{\"format\":");
        str_add_json(out, p->format);
        add_int(out, ",\"frames\":", p->frames);
        add_int(out, ",\"channels\":", p->came.channels);
        add_int(out, ",\"height\":", p->came.height);
        add_int(out, ",\"width\":", p->came.width);
        add_int(out, ",\"databar_height\":", p->databar_height);
        add_pixel(out, &p->came);
        if (!p->prepared) {
                str_add(out, ",\"prepared\":null}");
                return;
        }
        str_add(out, p->rescaled ? ",\"prepared\":{\"rescaled\":true" : ",\"prepared\":{\"rescaled\":false");
        add_int(out, ",\"height\":", p->made.height);
        add_int(out, ",\"width\":", p->made.width);
        add_pixel(out, &p->made);
        str_add(out, ",\"normalize\":\"");
        str_add(out, recipe_values_name((enum recipe_values)p->values));
        str_add(out, "\"}}");
}
