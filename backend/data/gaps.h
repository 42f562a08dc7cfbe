/* What a data set lacks that training needs. */
#ifndef CNND_GAPS_H
#define CNND_GAPS_H

#include "base/str.h"
#include "data/dataset.h"

/* Appends, for people, which classes have no image to train with; nothing where each has one. */
void gaps_tell(const struct dataset *d, struct str *out);

#endif
