/* The answer to a classification, written as text. */
#ifndef CNND_PREDICTIONS_H
#define CNND_PREDICTIONS_H

#include "base/err.h"
#include "base/str.h"
#include "daemon/models/modelfacts.h"
#include "daemon/decoder/imagefacts.h"

#include <cjson/cJSON.h>

struct prediction {
        float logit;
        int index; /* of the class */
        double probability;
};
/* What one answer may hold, since the front writes it between two turns: predictions, and classes ranked for
   them. */
enum { PREDICTIONS_MAX = 1 << 18, PREDICTIONS_RANKED_MAX = 1 << 23 };
/* ERR_TOO_LARGE where `n` images of `classes` with `top` predictions each, 0 for all, are more. */
int predictions_fit(int n, int classes, int top, struct err *e);

/* The `top` best classes of one image, best first, 0 for all; `logits` (classes), *ret (top, or classes). A
   probability is rounded to a float, as a logit is, unless it is too small for one. */
void predictions_rank(const float *logits, int classes, int top, struct prediction *ret);

/* ERR_INVALID where some of `logits` (n,classes) are no finite numbers, as of pixels or weights near a
   float's end: then no class is the best, and none is to be told. */
int predictions_check(const float *logits, int n, int classes, struct err *e);

/* Appends {"model","image","results":[{"predictions":[{"label","index","probability","logit"}, …best
   first]}]} and a newline: of `n` images with `top` predictions each, 0 for all. `logits` (n,num_classes).
   ERR_INVALID as above, ERR_NO_MEMORY. */
int predictions_write(struct str *out, const struct model_facts *model, const struct image_facts *facts,
        const float *logits, int n, int top, struct err *e);
/* The same of an archive: {"model","files":[{"file","image","results"}, {"file","error"}, …]}, the error a
   problem document. `files` has passed album_count; `facts`, of those without an error, image_facts_check. */
int predictions_write_files(struct str *out, const struct model_facts *model, const cJSON *files,
        const void *facts, const float *logits, int top, struct err *e);

#endif
