/* What happens to a job on a device: it starts, its worker reports, it ends, its worker is lost. One thread.
 */
#ifndef CNND_JOBRUN_H
#define CNND_JOBRUN_H

#include "base/err.h"
#include "daemon/jobs/jobrow.h"
#include "daemon/jobs/jobs.h"
#include "device/dev.h"
#include "train/train.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

enum { JOBRUN_FAILURES = 3 };

enum report_kind { REPORT_EVENT, REPORT_DONE, REPORT_FAILED, REPORT_LOST };
/* One thing to be told of a job. All but events end its run. */
struct report {
        struct report *next;
        enum report_kind kind;
        char event[16];
        char *data;         /* owned: an event's JSON line; why it was lost, or stopped */
        struct err error;   /* of a failure, and of what is done where that diverged */
        bool final;         /* of a failure: another run would not mend it */
        bool unread;        /* of a loss: by a file that cannot be read */
        enum train_end end; /* of a done one */
        int64_t step, device_bytes;
        bool stopped_early; /* by the job's stop_when, after so many epochs */
        double epoch;
        cJSON *best; /* owned: of the epoch that it saved by save_best, as its event told it; NULL */
};
void report_free(struct report *r);

struct jobrun_started {
        cJSON *command;     /* what the worker is to be sent; the caller's */
        struct err refused; /* of what the job fails where there is none */
        enum job_type type;
        int priority;
        double wait_seconds; /* from its submission; -1 for one that ran before */
        char user[JOBS_USER_MAX + 1];
};
/* Makes a queued job running on a device and commits it; the device's seconds are its user's from now on. */
int jobrun_start(struct jobs *js, int64_t id, int device, double checkpoint_seconds,
        struct jobrun_started *ret, struct err *e);
struct jobrun_outcome {
        bool moved;     /* a step was made that was not known before */
        bool cancelled; /* its user wants it to end */
        bool unplaced;  /* it failed, for the job's model could not be put in its place */
        bool under_way; /* it is to be tried again soon: the model is being copied */
};
/* Applies reports in order, in one transaction, and counts the device's seconds. An event that a resumed run
   repeats is dropped: a train, validation or checkpoint event is stored only if its step lies beyond the last
   stored one of its kind, a note only if it says something new. On an error nothing has happened and the same
   reports may be applied again. *ret is overwritten in every case. */
int jobrun_apply(struct jobs *js, int64_t id, int device, const struct report *reports,
        struct jobrun_outcome *ret, struct err *e);
/* What its user wants of a running job. */
int jobrun_want(struct jobs *js, int64_t id, enum job_want *ret, struct err *e);
/* Device seconds that the user has had, faded. */
double jobrun_share(const struct jobs *js, const char *user);
/* True once after something changed that the scheduler should look at. */
bool jobrun_changed(struct jobs *js);
bool jobrun_waiting(const struct jobs *js);
/* At start: no worker has any job, so none is running. */
int jobrun_recover(struct jobs *js, struct err *e);

#endif
