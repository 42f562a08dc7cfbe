/* What the decoder tells of a body beside its pixels. It goes to the front as it lies in memory, behind the
   floats: both are one binary. The front believes nothing of it before image_facts_check. Any thread. */
#ifndef CNND_IMAGEFACTS_H
#define CNND_IMAGEFACTS_H

#include "base/err.h"
#include "base/str.h"
#include "data/image.h"
#include "data/recipe.h"

#include <assert.h>
#include <stdint.h>

struct image_size {
        double pixel_h, pixel_w; /* 0 where `unit` is IMAGE_UNKNOWN */
        int32_t channels, height, width;
        int32_t unit; /* enum image_unit */
};

struct image_facts {
        char format[12]; /* "TIFF" */
        int32_t frames, databar_height;
        int32_t prepared; /* 1: a recipe was carried out, and the next two and `made` say with what result */
        int32_t rescaled; /* 1 or 0 */
        int32_t values;   /* enum recipe_values */
        struct image_size came, made;
};
static_assert(sizeof(struct image_facts) == 96, "no bytes between the fields");

/* The image as it came; whole: nothing prepared. */
void image_facts_describe(struct image_facts *p, const struct image *im);
/* What a recipe made of it, before it was cut or fitted. */
void image_facts_prepared(struct image_facts *p, const struct image *im, enum recipe_values values);

/* ERR_INTERNAL for what no decoder says. */
int image_facts_check(const struct image_facts *p, struct err *e);
/* Appends the JSON that classify.h calls "image". `p` has passed the check. */
void image_facts_write(const struct image_facts *p, struct str *out);

#endif
