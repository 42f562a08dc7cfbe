/* Which job goes next, and where in the line a waiting one stands. One thread (the front's). */
#ifndef CNND_JOBLINE_H
#define CNND_JOBLINE_H

#include "base/err.h"
#include "daemon/people/identity.h"
#include "daemon/jobs/jobrow.h"
#include "daemon/jobs/jobs.h"
#include "device/dev.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

struct jobline_pick {
        int64_t id; /* 0: none waits */
        int priority;
        char user[IDENTITY_USER_MAX + 1];
        double seconds; /* the user's share */
        bool held;      /* jobs were passed over that would fit */
};

/* The queued job that goes to a device next: of the highest priority that has one which fits into `room`
   bytes of it, of the user with the smallest share, the oldest. Those whose data set is being imported or
   missing are passed over, and those whose weights are. */
int jobline_next(
        struct jobs *js, const struct dev_info *info, uint64_t room, struct jobline_pick *ret, struct err *e);

/* {"position":3,"reason":"2 jobs go before it"} for a queued job, NULL for others (and when memory is out).
 */
cJSON *jobline_json(struct jobs *js, const struct job_row *r);

/* The positions as they were looked up last. Owned by struct jobs; all zero at first. */
struct jobline_cache {
        struct jobline_place {
                int64_t id;
                int position;
        } * places; /* owned; by id */
        size_t count;
        int64_t until_us; /* not looked up again before, so that a long line takes little of the front's time
                           */
};
void jobline_finish(struct jobline_cache *c);

#endif
