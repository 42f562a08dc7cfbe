#include "daemon/serving/predictions.h"

#include "base/json.h"
#include "daemon/http/problem.h"
#include "daemon/common/wire.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static int by_logit(const void *a, const void *b)
{
        const struct prediction *x = a, *y = b;
        if (x->logit != y->logit)
                return x->logit > y->logit ? -1 : 1;
        return x->index - y->index;
}

int predictions_check(const float *logits, int n, int classes, struct err *e)
{
        for (int i = 0; i < n; i++)
                for (int k = 0; k < classes; k++)
                        if (!isfinite(logits[(size_t)i * (size_t)classes + (size_t)k]))
                                return err_set(e, ERR_INVALID,
                                        "image %d: the model's numbers leave the range of a float; it has no "
                                        "class",
                                        i);
        return 0;
}

int predictions_fit(int n, int classes, int top, struct err *e)
{
        const int64_t ranked = (int64_t)n * classes;
        const int64_t told = top && top < classes ? (int64_t)n * top : ranked;
        if (told > PREDICTIONS_MAX)
                return err_set(e, ERR_TOO_LARGE,
                        "%lld predictions are asked for, and an answer holds %d: send fewer images, or "
                        "ask for fewer of each",
                        (long long)told, PREDICTIONS_MAX);
        if (ranked > PREDICTIONS_RANKED_MAX)
                return err_set(e, ERR_TOO_LARGE,
                        "%d images of %d classes are too many: send at most %d at once", n, classes,
                        PREDICTIONS_RANKED_MAX / classes);
        return 0;
}

/* Fewer are kept in order as they come: nearly all classes are seen once and left. */
enum { FEW = 16 };

static void keep_best(const float *logits, int classes, int top, struct prediction *ret)
{
        int kept = 0;
        for (int i = 0; i < classes; i++) {
                int at = kept;
                while (at > 0 && logits[i] > ret[at - 1].logit)
                        at--;
                if (at == top)
                        continue;
                kept += kept < top;
                memmove(&ret[at + 1], &ret[at], (size_t)(kept - at - 1) * sizeof *ret);
                ret[at] = (struct prediction){.logit = logits[i], .index = i};
        }
}

static void sort_all(const float *logits, int classes, struct prediction *ret)
{
        for (int i = 0; i < classes; i++)
                ret[i] = (struct prediction){.logit = logits[i], .index = i};
        qsort(ret, (size_t)classes, sizeof *ret, by_logit);
}

void predictions_rank(const float *logits, int classes, int top, struct prediction *ret)
{
        const int told = top && top < classes ? top : classes;
        double sum = 0.0;
        if (told <= FEW)
                keep_best(logits, classes, told, ret);
        else
                sort_all(logits, classes, ret);
        for (int i = 0; i < classes; i++)
                sum += exp((double)logits[i] - (double)ret[0].logit);
        for (int i = 0; i < told; i++) {
                const double exact = exp((double)ret[i].logit - (double)ret[0].logit) / sum;
                ret[i].probability = exact < (double)FLT_MIN ? exact : (double)(float)exact;
        }
}

static void add_image(struct str *out, const struct model_facts *model, const float *logits,
        struct prediction *ranks, int top)
{
        const int classes = model->shape.num_classes;
        predictions_rank(logits, classes, top, ranks);
        str_add(out, "{\"predictions\":[");
        for (int i = 0; i < classes && (i < top || top == 0); i++) {
                str_add(out, i ? ",{\"label\":" : "{\"label\":");
                str_add_json(out, model->classes[ranks[i].index]);
                str_add(out, ",\"index\":");
                str_add_int(out, ranks[i].index);
                str_add(out, ",\"probability\":");
                str_add_decimal(out, ranks[i].probability);
                str_add(out, ",\"logit\":");
                str_add_decimal(out, (double)ranks[i].logit);
                str_add(out, "}");
        }
        str_add(out, "]}");
}

/* "image" and "results" of `n` images. */
static void add_images(struct str *out, const struct model_facts *model, const struct image_facts *facts,
        const float *logits, int n, int top)
{
        struct prediction *ranks = malloc((size_t)model->shape.num_classes * sizeof *ranks);
        if (!ranks)
                out->failed = true;
        str_add(out, "\"image\":");
        image_facts_write(facts, out);
        str_add(out, ",\"results\":[");
        for (int i = 0; i < n && !out->failed; i++) {
                if (i)
                        str_add(out, ",");
                add_image(out, model, logits + (size_t)i * (size_t)model->shape.num_classes, ranks, top);
        }
        str_add(out, "]");
        free(ranks);
}

static void begin(struct str *out, const struct model_facts *model)
{
        str_add(out, "{\"model\":");
        str_add_json(out, model->name);
        str_add(out, ",");
}

static int end(struct str *out, struct err *e)
{
        str_add(out, "}\n");
        return out->failed ? err_set(e, ERR_NO_MEMORY, "no memory for the answer") : 0;
}

int predictions_write(struct str *out, const struct model_facts *model, const struct image_facts *facts,
        const float *logits, int n, int top, struct err *e)
{
        int rc = predictions_check(logits, n, model->shape.num_classes, e);
        if (rc)
                return rc;
        begin(out, model);
        add_images(out, model, facts, logits, n, top);
        return end(out, e);
}

/* Why there is no result of a file. */
static void add_problem(struct str *out, const struct err *why)
{
        str_add(out, "\"error\":");
        problem_write(out, problem_status(why->code), why, false);
        if (!out->failed)
                out->len--; /* its newline */
}

int predictions_write_files(struct str *out, const struct model_facts *model, const cJSON *files,
        const void *facts, const float *logits, int top, struct err *e)
{
        const char *next = facts;
        const cJSON *file;
        struct image_facts each;
        struct err why;
        begin(out, model);
        str_add(out, "\"files\":[");
        cJSON_ArrayForEach(file, files)
        {
                const cJSON *error = json_field(file, "error");
                const int n = (int)wire_int(file, "n");
                str_add(out, file == files->child ? "{\"file\":" : ",{\"file\":");
                str_add_json(out, wire_text(file, "file"));
                str_add(out, ",");
                if (error) {
                        wire_error_read(error, &why);
                        add_problem(out, &why);
                } else {
                        memcpy(&each, next, sizeof each);
                        next += sizeof each;
                        if (predictions_check(logits, n, model->shape.num_classes, &why))
                                add_problem(out, &why);
                        else
                                add_images(out, model, &each, logits, n, top);
                        logits += (size_t)n * (size_t)model->shape.num_classes;
                }
                str_add(out, "}");
        }
        str_add(out, "]");
        return end(out, e);
}
