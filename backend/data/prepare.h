/* Decoded pictures to what a data set stores and a network takes, by a recipe. Importing and classifying both
   go through here, in this order, so that one file gives one and the same pixels:

     prepare_image   all frames: to one size of a pixel, then the values
     prepare_frame   a frame, or prepare_part, a piece of one: to the recipe's size */
#ifndef CNND_PREPARE_H
#define CNND_PREPARE_H

#include "data/image.h"
#include "data/recipe.h"

/* In place. *ret_bytes: it came as 8 bits and stays so; to be handed to the calls below. Where the file tells
   no size of its pixels, a recipe with one is ERR_INVALID if `strict`, else the picture keeps its scale.
   Otherwise errors as scale_to_pixel. */
int prepare_image(struct image *im, const struct recipe *r, bool strict, bool *ret_bytes, struct err *e);
/* The part of h x w at (y, x) of frame `frame`, resized to the recipe's size with `c` channels, and with
   `bytes` rounded to k/255. */
int prepare_part(const struct image *im, int frame, int y, int x, int h, int w, const struct recipe *r, int c,
        bool bytes, struct image *ret, struct err *e);
/* A whole frame: resized, or cropped from the middle. ERR_INVALID for one smaller than a crop at a common
   size of a pixel. */
int prepare_frame(const struct image *im, int frame, const struct recipe *r, int c, bool bytes,
        struct image *ret, struct err *e);
/* prepare_frame for every frame, in place of *im. */
int prepare_frames(struct image *im, const struct recipe *r, int c, bool bytes, struct err *e);

/* Every value rounded to k/255, cut to 0..1. */
void prepare_round(float *values, size_t count);
/* Whether every value is k/255: what an 8-bit file decodes to. */
bool prepare_is_bytes(const float *values, size_t count);
/* In place: clipped to the values of rank 0.5% and 99.5% (nearest rank) and stretched to 0..1; all 0 where
   these are one. Finite values. */
int prepare_stretch(float *values, size_t count, struct err *e);
/* In place: to mean 0 and population deviation 1; all 0 where the values are one. */
void prepare_standardize(float *values, size_t count);

#endif
