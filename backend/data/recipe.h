/* What an import does to a picture between decoding and storing. It is kept with the data set and with the
   models trained on it, so that what is classified goes the same way. In JSON with the words of the import's
   options, "preprocessing"/"import" of a model:

       {"size":[64,64],"fit":"resize","normalize":"percentiles","pixel_size":0.5}

   `pixel_size`, nanometres, is absent where pictures keep theirs. prepare.h carries it out. */
#ifndef CNND_RECIPE_H
#define CNND_RECIPE_H

#include "base/err.h"
#include "base/str.h"

#include <cjson/cJSON.h>
#include <stdbool.h>

enum recipe_fit {
        RECIPE_RESIZE, /* image_fit */
        RECIPE_CROP,   /* the largest part of the target's proportions, from the middle, then resized; at a
                          common pixel size the middle part of the target's size, which keeps the scale */
        RECIPE_TILE, /* windows of the size at multiples of a stride, as many as fit; nothing is resized. One
                        that is classified is resized */
};
enum recipe_values {
        RECIPE_PERCENTILES, /* each frame clipped and stretched to 0..1; 8-bit pictures are left alone */
        RECIPE_PER_IMAGE,   /* that, then each frame to mean 0 and deviation 1, 8-bit ones too */
        RECIPE_KEEP,        /* "none" */
};
#define RECIPE_PIXEL_MIN 1e-6 /* nm */
#define RECIPE_PIXEL_MAX 1e9

struct recipe {
        int h, w; /* 0: no recipe, pictures are taken as they are */
        enum recipe_fit fit;
        enum recipe_values values;
        double pixel_nm; /* 0: as it is */
};

bool recipe_same(const struct recipe *a, const struct recipe *b);
/* By the option's text; false for none of them. */
bool recipe_fit_parse(const char *text, enum recipe_fit *ret);
bool recipe_values_parse(const char *text, enum recipe_values *ret);
const char *recipe_fit_name(enum recipe_fit fit);
const char *recipe_values_name(enum recipe_values values);

/* null for no recipe. NULL when memory is out. */
cJSON *recipe_json(const struct recipe *r);
/* Appends that as text. */
void recipe_write(struct str *out, const struct recipe *r);
/* `json` NULL or null is no recipe; `at` is its own pointer. ERR_INVALID; *ret is untouched then. */
int recipe_parse(const cJSON *json, const char *at, struct recipe *ret, struct err *e);

#endif
