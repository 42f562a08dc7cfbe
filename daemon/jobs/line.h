/* The line of waiting jobs: in which order they will start, as far as can be said now. Any thread. */
#ifndef CNND_LINE_H
#define CNND_LINE_H

#include <stddef.h>
#include <stdint.h>

struct line_job {
        int64_t id;
        int priority;
        int user;     /* index into `seconds` */
        int position; /* from 1; set by line_order */
};

/* Positions of jobs that stand ordered by falling priority, then by user, then by age. Within a priority the
   user with least device seconds goes next, at a draw the older job; each job counts for `slice` seconds of
   its user's then. `seconds` (of each user) is used up. */
void line_order(struct line_job *jobs, size_t count, double *seconds, double slice);

#endif
