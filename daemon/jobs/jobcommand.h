/* What a worker is sent of a job that starts. One thread (the front's). */
#ifndef CNND_JOBCOMMAND_H
#define CNND_JOBCOMMAND_H

#include "base/err.h"
#include "daemon/jobs/jobrow.h"
#include "daemon/jobs/jobs.h"

#include <cjson/cJSON.h>

/* *ret is the caller's; without one `refused` (zeroed by the caller) says of what the job fails instead. */
int jobcommand_make(const struct jobs *js, const struct job_row *r, double checkpoint_seconds, cJSON **ret,
        struct err *refused, struct err *e);

#endif
