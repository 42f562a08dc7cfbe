/* A stored model, ready to classify on a device. */
#ifndef CNND_INFER_H
#define CNND_INFER_H

#include "base/err.h"
#include "data/recipe.h"
#include "device/buf.h"
#include "device/dev.h"
#include "ops/strategy.h"

#include <stdint.h>

struct infer;
/* Reads a model's safetensors file, preprocessing included, and places its weights on the device. `dev` and
   the device's `known` strategies (NULL for none) are borrowed and must outlive it. */
int infer_create(
        struct dev *d, const struct strategies *known, const char *path, struct infer **ret, struct err *e);
void infer_destroy(struct infer *m);
/* How the pictures of its training data were made; borrowed. */
const struct recipe *infer_recipe(const struct infer *m);
/* What it takes and gives. */
void infer_shape(const struct infer *m, int *c, int *h, int *w, int *num_classes);
/* The name of class k, 0 <= k < num_classes; borrowed. "" where the file's is no text. */
const char *infer_class(const struct infer *m, int k);
/* `images` (n,c,h,w) floats, 8-bit ones scaled to 0..1, of the model's size but before its normalisation;
   `logits` (n,num_classes) overwritten. Any n >= 1: runs in batches of at most `INFER_MAX_BATCH`.
   On a CPU device an image's logits do not depend on what is in the batch with it. */
enum { INFER_MAX_BATCH = 256 };
/* Of as many at once: what takes longer may be divided there, with the same logits. */
int infer_part(const struct infer *m);
int infer_run(struct infer *m, const float *images, int n, float *logits, struct err *e);

/* The same for n <= INFER_MAX_BATCH square windows of one image `field` (c,h,w) on the device: each is
   resized to the model's size as image_fit does. `places` (n): y * w + x of their corners, borrowed; all of a
   window lies within the field. */
struct infer_field {
        const struct buf *field;
        int h, w, window;
};
int infer_windows(struct infer *m, const struct infer_field *from, const int32_t *places, int n,
        float *logits, struct err *e);

/* Pictures of a layer's inside: (count,channels,h,w) floats, owned by whoever asked. */
struct infer_maps {
        float *data;
        int count, channels, h, w;
};
/* The filters of a conv2d (out_channels,in_channels/groups,kh,kw), by its name ("net.0"): a map a filter
   where it reads three channels, else one a filter and channel. ERR_INVALID, naming the layers there are, for
   any other name. */
int infer_filters(struct infer *m, const char *layer, struct infer_maps *ret, struct err *e);
/* What `layer` gives for one image (c,h,w): a map a channel; features are maps of one pixel. A block's name
   ("net.3") stands for all that it gives. ERR_INVALID as above. */
int infer_activations(
        struct infer *m, const float *image, const char *layer, struct infer_maps *ret, struct err *e);

#endif
