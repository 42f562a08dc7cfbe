/* The folder of a job, STATE/jobs/ID: the weights it starts from, its checkpoints, what it made. While a job
   may still run all of it is needed; of an ended one only what somebody can still ask for stays. One thread
   (the front's). */
#ifndef CNND_JOBFOLDER_H
#define CNND_JOBFOLDER_H

#include "base/err.h"
#include "daemon/jobs/jobs.h"

#include <stdbool.h>
#include <stdint.h>

/* "STATE/jobs/ID" plus `file` ("" or "/name"), malloc'ed; NULL when memory is out. */
char *jobfolder_path(const struct jobs *js, int64_t id, const char *file);

/* Makes it; with the weights of the model `model` ("" for none) as they are now under a second name, durably,
   so that a model replaced or deleted meanwhile changes nothing. Where models/ lies on another file system
   that name is there, .job-ID.safetensors, for a copy would keep everybody waiting. */
int jobfolder_make(const struct jobs *js, int64_t id, const char *model, struct err *e);
/* Makes the folder of a job that is to run where it is missing: a database that was put back knows jobs that
   this state folder never had. */
int jobfolder_need(const struct jobs *js, int64_t id, struct err *e);
/* The path of that name, malloc'ed; *ret is NULL where the job has none. */
int jobfolder_weights(const struct jobs *js, int64_t id, char **ret, struct err *e);
/* Whether it has one, and needs it, and the file system of models/ is not mounted. */
bool jobfolder_lacks(const struct jobs *js, int64_t id);

/* Whether there is a checkpoint to go on from. False, too, when memory is out. */
bool jobfolder_checkpoint(const struct jobs *js, int64_t id);

/* After the commit that ended the job (other states change nothing): deletes what nobody can ask for any
   more, and a folder that is empty then. `saved`: its model has its place. What cannot be deleted only takes
   room, until the next start. */
void jobfolder_tidy(const struct jobs *js, int64_t id, enum job_state state, bool saved);
/* After the commit that deleted the job: all of it, likewise. */
void jobfolder_remove(const struct jobs *js, int64_t id);
/* The job's number where a file of models/ is such a second name, else 0; and its end. */
int64_t jobfolder_link(const char *file);
void jobfolder_unlink(const struct jobs *js, int64_t id);

#endif
