/* Cleaning up after jobs, piece by piece, so that nobody waits for it: what a front that was killed between
   commit and tidying, or an older version, left in the folders of ended jobs, and the events of deleted jobs.
   One thread (the front's). */
#ifndef CNND_JOBSWEEP_H
#define CNND_JOBSWEEP_H

#include "base/err.h"
#include "daemon/jobs/jobs.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>

/* All zero has nothing to do. */
struct jobsweep {
        DIR *dir;    /* owned; NULL: the folders are done */
        bool links;  /* it is that of the models, where second names of jobs' weights may be */
        bool events; /* those of jobs above `job` are to be looked at */
        int64_t job;
};
/* At a start: everything. */
void jobsweep_begin(struct jobsweep *w, const struct jobs *js);
/* Deletes the first events of a job whose row goes, within the caller's transaction; *ret_rest: not all of
   them. After the commit jobsweep_rest sees to the others. */
int jobsweep_events(const struct jobs *js, int64_t id, bool *ret_rest, struct err *e);
void jobsweep_rest(struct jobsweep *w, int64_t id);
/* Goes on for a few milliseconds. */
void jobsweep_on(struct jobsweep *w, const struct jobs *js);
bool jobsweep_done(const struct jobsweep *w);
void jobsweep_finish(struct jobsweep *w);

#endif
