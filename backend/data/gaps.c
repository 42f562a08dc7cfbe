#include "data/gaps.h"

enum { LISTED = 8 };

void gaps_tell(const struct dataset *d, struct str *out)
{
        int count = 0;
        for (int i = 0; i < d->num_classes; i++) {
                if (d->split[DATASET_TRAIN].class_counts[i])
                        continue;
                if (count++ < LISTED)
                        str_addf(out, "%s\"%.60s\"",
                                count == 1 ? "there are no images to train with of class " : ", ",
                                d->classes[i]);
        }
        if (count > LISTED)
                str_addf(out, " and %d more", count - LISTED);
}
