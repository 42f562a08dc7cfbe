#include "daemon/common/histogram.h"

const double histogram_quick[HISTOGRAM_BOUNDS] = {
        0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 30};
const double histogram_slow[HISTOGRAM_BOUNDS] = {
        0.1, 1, 5, 15, 60, 300, 900, 3600, 7200, 21600, 86400, 604800};

void histogram_add(struct histogram *h, const double bounds[HISTOGRAM_BOUNDS], double value)
{
        int i = 0;
        while (i < HISTOGRAM_BOUNDS && value > bounds[i])
                i++;
        h->count[i]++;
        h->sum += value;
}

void histogram_write(const struct histogram *h, const double bounds[HISTOGRAM_BOUNDS], const char *name,
        const char *labels, struct str *out)
{
        const char *comma = labels[0] ? "," : "", *open = labels[0] ? "{" : "", *close = labels[0] ? "}" : "";
        uint64_t below = 0;
        for (int i = 0; i < HISTOGRAM_BOUNDS; i++) {
                below += h->count[i];
                str_addf(out, "%s_bucket{%s%sle=\"%.10g\"} %llu\n", name, labels, comma, bounds[i],
                        (unsigned long long)below);
        }
        below += h->count[HISTOGRAM_BOUNDS];
        str_addf(out, "%s_bucket{%s%sle=\"+Inf\"} %llu\n", name, labels, comma, (unsigned long long)below);
        str_addf(out, "%s_sum%s%s%s ", name, open, labels, close);
        str_add_double(out, h->sum);
        str_addf(out, "\n%s_count%s%s%s %llu\n", name, open, labels, close, (unsigned long long)below);
}
