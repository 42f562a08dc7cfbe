/* The checks of a submission, before anything is stored. One thread (the front's). */
#ifndef CNND_SUBMIT_H
#define CNND_SUBMIT_H

#include "base/err.h"
#include "daemon/jobs/jobcore.h"
#include "daemon/jobs/jobrow.h"

#include <cjson/cJSON.h>

struct submission {
        struct job_row row;                   /* owned; type, name, data set, model, plan are filled in */
        char init_from[REQUEST_NAME_MAX + 1]; /* the model whose weights it needs, "" for none */
        int64_t points;                       /* that it will report, checkpoints among them */
        int64_t result_bytes;                 /* of its scores, about */
};

/* Checks a posted job as jobs_submit says. On 0 the caller frees ret->row with job_row_finish; on an error
   too, for what stands in it by then. *ret is zeroed by the caller. */
int submit_check(struct jobs *js, const struct identity *who, const cJSON *body, struct submission *ret,
        struct err *e);

#endif
