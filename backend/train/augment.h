/* What a training job's "augment" asks for: a list of steps, each changed from image to image and from epoch
   to epoch.

   Every step draws from Philox under the job's seed, keyed by the epoch, the image's position in the epoch
   and the step's place in the list (kernels/augment.cl): the same whatever the batch size, the device or the
   number of times a job was stopped. Pixels are those of the network's input, after scaling 8-bit data to
   0..1 and the resize and before `normalize`; nothing is clipped. */
#ifndef CNND_AUGMENT_H
#define CNND_AUGMENT_H

#include "base/err.h"
#include "ops/op.h"

#include <cjson/cJSON.h>

/* Where the values of an affine step stand; kernels/augment.cl has the same. */
enum { AUGMENT_DEGREES, AUGMENT_TRANSLATE, AUGMENT_SCALE = 3, AUGMENT_SHEAR = 5 };
enum { AUGMENT_MAX = 16, AUGMENT_FIELDS = 6, AUGMENT_MAX_SIGMA = 16 };

enum augment_class {
        AUGMENT_GEOMETRIC, /* moves pixels: neighbours in the list become one resampling, see augment_joins */
        AUGMENT_POINT,     /* changes each pixel by itself: neighbours become one pass */
        AUGMENT_MEAN_POINT, /* the same, but needs the image's mean first */
        AUGMENT_BLUR,
};

struct augment_kind {
        const char *type;  /* "hflip", as in JSON */
        const char *token; /* in kernels/augment.cl */
        const char *doc;
        enum augment_class class;
        struct op_field
                fields[AUGMENT_FIELDS + 1]; /* ended by a NULL name; offsets are indices into values */
};

struct augment_step {
        const struct augment_kind *kind;
        double values[AUGMENT_FIELDS];
};

struct augment {
        int count;
        struct augment_step steps[AUGMENT_MAX];
};

/* NULL or an empty list: nothing. ERR_INVALID with the pointer of the field ("/augment/3/p"); *ret is
 * untouched then. */
int augment_parse(const cJSON *list, struct augment *ret, struct err *e);
/* Steps that do not fit images of this shape: rot90 of others than squares. */
int augment_check(const struct augment *a, struct shape s, struct err *e);
/* Whether the steps first to `at` are one resampling: geometric ones, of which a row jitter is the last,
   since it is known for rows of the output alone. Beside an affine step, beyond whose sides the image is
   mirrored, there are only flips and quarter turns, that leave nothing outside; others have zeros there. */
bool augment_joins(const struct augment *a, int first, int at);
/* [{"type","description","parameters":[{"name","type","required","default"}…]}…]. NULL when memory is out. */
cJSON *augment_kinds_json(void);

#endif
