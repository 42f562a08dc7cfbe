/* The curve of a training job: its train and validation points as columns. */
#ifndef CNND_CURVE_H
#define CNND_CURVE_H

#include "base/err.h"
#include "base/str.h"
#include "daemon/jobs.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* NAN where an event has no such number. `epoch` counts passes over the data, with fractions. */
struct curve_point {
        bool validation; /* else train */
        double step, epoch, loss, acc;
        double images_per_second;     /* of train points */
        double train_loss, train_acc; /* of validation points: the epoch's mean */
};

struct curve {
        int64_t job;
        struct curve_point *points; /* owned; in the order of the events */
        size_t count, cap;
};

/* Reads all `train` and `validation` events of a job. ERR_NOT_FOUND. The caller calls curve_finish. */
int curve_load(struct jobs *js, int64_t job, struct curve *ret, struct err *e);
void curve_finish(struct curve *c);
/* One event's point at the end; others than train and validation are passed over. False when memory is out.
 */
bool curve_add(struct curve *c, const char *event, const char *data);

/* {"id":7,"train":{"step":[…],"epoch","loss","acc","images_per_second"},"validation":{"step","epoch","loss","acc",
   "train_loss","train_acc"}}: arrays of one length each, null for what an event does not have. */
void curve_json(const struct curve *c, struct str *out);
/* A line of names (step,epoch,train_loss,train_acc,val_loss,val_acc,images_per_second) and one line a point,
   empty between the commas where a point has no such number. */
void curve_csv(const struct curve *c, struct str *out);

#endif
