/* The curve of a training job: its train and validation points as columns, in bounded memory. Up to
   CURVE_EXACT points of a kind are all kept. Of a longer curve each stretch keeps the least and the greatest
   loss and accuracy, so that no spike is lost, the first point that is no number, and its means. */
#ifndef CNND_CURVE_H
#define CNND_CURVE_H

#include "base/err.h"
#include "base/str.h"
#include "daemon/jobs/jobs.h"
#include "daemon/http/reply.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CURVE_STRETCHES = 4096, CURVE_KEPT = 5, CURVE_EXACT = CURVE_STRETCHES * CURVE_KEPT };

/* NAN where an event has no such number. `epoch` counts passes over the data, with fractions. */
struct curve_point {
        double step, epoch, loss, acc;
        double images_per_second;     /* of train points */
        double train_loss, train_acc; /* of validation points: the epoch's mean */
};

/* Consecutive points of a kind. */
struct curve_stretch {
        struct curve_point kept[CURVE_KEPT]; /* in their order */
        int count;                           /* of kept */
        size_t points;                       /* that it stands for */
        double epoch, loss, acc;             /* sums over the points that have a number there */
        size_t epochs, losses, accs;         /* and how many have */
};

struct curve_line {
        struct curve_stretch *stretches; /* owned; all but the last stand for `each` points */
        size_t count, cap, each;
        size_t points;           /* of the whole curve */
        struct curve_point last; /* where there are points */
};

enum curve_kind { CURVE_TRAIN, CURVE_VALIDATION, CURVE_KINDS };

/* All zero but the job is an empty curve. */
struct curve {
        int64_t job, last_event;
        struct curve_line line[CURVE_KINDS];
        bool ends_in_validation; /* the newest point is one */
};

/* Adds the next `limit` events of the job that come after those before; *ret_more where there may be
   others. ERR_NOT_FOUND. The caller calls curve_finish, also on failure. */
int curve_load(struct jobs *js, int limit, struct curve *c, bool *ret_more, struct err *e);
void curve_finish(struct curve *c);
/* One event's point at the end; others than train and validation are passed over. False when memory is out.
 */
bool curve_add(struct curve *c, const char *event, const char *data);

/* Fills `out`, which has room for CURVE_EXACT + 1, with the points kept of a line, in their order, the newest
   in any case; returns their number. */
size_t curve_kept(const struct curve_line *l, const struct curve_point **out);

/* {"id":7,"points":{"train":N,"validation":N},"train":{"step":[…],"epoch","loss","acc","images_per_second"},
   "validation":{"step","epoch","loss","acc","train_loss","train_acc"}}: arrays of one length each, null for
   what an event does not have. `points` counts all, of which a long curve's arrays hold some. */
void curve_json(const struct curve *c, struct str *out);
/* Makes `r` a stream of all points: a line of names (step,epoch,train_loss,train_acc,val_loss,val_acc,
   images_per_second) and one line a point, empty between the commas where it has no such number. Borrows
   `js`. */
int curve_csv(struct jobs *js, int64_t job, struct reply *r, struct err *e);

#endif
