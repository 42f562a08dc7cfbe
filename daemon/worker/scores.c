#include "daemon/worker/scores.h"

struct score {
        double precision, recall, f1;
};

static double share(int64_t part, int64_t whole)
{
        return whole ? (double)part / (double)whole : 0;
}

/* Images of class k, and those taken for it. */
static void totals(const int64_t *counts, int classes, int k, int64_t *ret_support, int64_t *ret_taken)
{
        *ret_support = *ret_taken = 0;
        for (int i = 0; i < classes; i++) {
                *ret_support += counts[k * classes + i];
                *ret_taken += counts[i * classes + k];
        }
}

static void add_score(struct str *out, const struct score *s)
{
        str_add(out, "\"precision\":");
        str_add_double(out, s->precision);
        str_add(out, ",\"recall\":");
        str_add_double(out, s->recall);
        str_add(out, ",\"f1\":");
        str_add_double(out, s->f1);
}

static void accumulate(struct score *to, const struct score *s, double weight)
{
        to->precision += weight * s->precision;
        to->recall += weight * s->recall;
        to->f1 += weight * s->f1;
}

static void add_confusion(struct str *out, const int64_t *counts, int classes)
{
        str_add(out, ",\"confusion\":[");
        for (int row = 0; row < classes; row++) {
                str_add(out, row ? ",[" : "[");
                for (int k = 0; k < classes; k++)
                        str_addf(out, k ? ",%lld" : "%lld", (long long)counts[row * classes + k]);
                str_add(out, "]");
        }
        str_add(out, "]");
}

void scores_write(struct str *out, const int64_t *counts, int classes, char *const *names)
{
        struct score macro = {0}, weighted = {0};
        int64_t right = 0, all = 0;
        for (int i = 0; i < classes * classes; i++)
                all += counts[i];
        for (int k = 0; k < classes; k++)
                right += counts[k * classes + k];
        str_add(out, "\"accuracy\":");
        str_add_double(out, share(right, all));
        str_add(out, ",\"per_class\":[");
        for (int k = 0; k < classes; k++) {
                int64_t support, taken, hits = counts[k * classes + k];
                totals(counts, classes, k, &support, &taken);
                const struct score s = {
                        share(hits, taken), share(hits, support), share(2 * hits, support + taken)};
                accumulate(&macro, &s, 1.0 / classes);
                accumulate(&weighted, &s, share(support, all));
                str_add(out, k ? ",{\"class\":" : "{\"class\":");
                str_add_json(out, names[k]);
                str_add(out, ",");
                add_score(out, &s);
                str_addf(out, ",\"support\":%lld}", (long long)support);
        }
        str_add(out, "],\"macro\":{");
        add_score(out, &macro);
        str_add(out, "},\"weighted\":{");
        add_score(out, &weighted);
        str_add(out, "}");
        add_confusion(out, counts, classes);
}
