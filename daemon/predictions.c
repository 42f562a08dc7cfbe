#include "daemon/predictions.h"

#include <math.h>
#include <stdlib.h>

struct ranked {
        float logit;
        int index;
};

static int by_logit(const void *a, const void *b)
{
        const struct ranked *x = a, *y = b;
        if (x->logit != y->logit)
                return x->logit > y->logit ? -1 : 1;
        return x->index - y->index;
}

static void add_image(
        struct str *out, const struct model_facts *model, const float *logits, struct ranked *ranks, int top)
{
        const int classes = model->shape.num_classes;
        double sum = 0.0;
        for (int i = 0; i < classes; i++)
                ranks[i] = (struct ranked){logits[i], i};
        qsort(ranks, (size_t)classes, sizeof *ranks, by_logit);
        for (int i = 0; i < classes; i++)
                sum += exp((double)ranks[i].logit - (double)ranks[0].logit);
        str_add(out, "{\"predictions\":[");
        for (int i = 0; i < classes && (i < top || top == 0); i++) {
                str_add(out, i ? ",{\"label\":" : "{\"label\":");
                str_add_json(out, model->classes[ranks[i].index]);
                str_add(out, ",\"index\":");
                str_add_int(out, ranks[i].index);
                str_add(out, ",\"probability\":");
                str_add_decimal(out, exp((double)ranks[i].logit - (double)ranks[0].logit) / sum);
                str_add(out, ",\"logit\":");
                str_add_decimal(out, (double)ranks[i].logit);
                str_add(out, "}");
        }
        str_add(out, "]}");
}

int predictions_write(struct str *out, const struct model_facts *model, const struct image_facts *facts,
        const float *logits, int n, int top, struct err *e)
{
        struct ranked *ranks = malloc((size_t)model->shape.num_classes * sizeof *ranks);
        if (!ranks)
                out->failed = true;
        str_add(out, "{\"model\":");
        str_add_json(out, model->name);
        str_add(out, ",\"image\":");
        image_facts_write(facts, out);
        str_add(out, ",\"results\":[");
        for (int i = 0; i < n && !out->failed; i++) {
                if (i)
                        str_add(out, ",");
                add_image(out, model, logits + (size_t)i * (size_t)model->shape.num_classes, ranks, top);
        }
        str_add(out, "]}\n");
        free(ranks);
        return out->failed ? err_set(e, ERR_NO_MEMORY, "no memory for the answer") : 0;
}
