/* The points of a curve, as the JSON that a run's events tell them in. */
#ifndef CNND_POINTS_H
#define CNND_POINTS_H

#include "base/str.h"
#include "train/checkpoint.h"
#include "train/setup.h"

/* Of the steps since the `train` event before; `lr` is the rate of the last. */
void points_train(struct str *s, const struct setup *setup, const struct progress *p, double lr,
        double images_per_second);
/* Of the epoch that ended after `step` steps; `best` is the best so far, and tells nothing where there is
   none. */
void points_validation(struct str *s, const struct setup *setup, int64_t step, const double metrics[METRICS],
        const struct best *best);
/* The validation point of the best epoch. ERR_NO_MEMORY. */
int points_best(char ret[TRAIN_POINT_MAX], const struct setup *setup, const struct best *best, struct err *e);
/* ERR_INVALID: the weights are ruined. `what` they were seen by, up to "step"; the model is of the epoch
   `kept`, if there is one (step 0: none). */
int points_diverged(
        const struct setup *setup, const struct best *kept, const char *what, int64_t step, struct err *e);
/* What people should know: `text`, which has some. */
void points_note(struct str *s, const struct str *text);
/* The mean of `count`, 0 of none. */
double points_mean(double sum, int64_t count);

#endif
