/* How good predictions are, from a confusion matrix. */
#ifndef CNND_SCORES_H
#define CNND_SCORES_H

#include "base/str.h"

#include <stdint.h>

/* `counts` (classes,classes): row is the label, column the prediction. Appends JSON members:
   "accuracy", "per_class":[{"class","precision","recall","f1","support"}, …], "macro" and "weighted" (by
   support)
   {"precision","recall","f1"}, "confusion":[[…], …]. A share of nothing, such as the precision of a class
   that nothing was taken for, is 0, as in scikit-learn. */
void scores_write(struct str *out, const int64_t *counts, int classes, char *const *names);

#endif
