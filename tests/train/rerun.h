/* Jobs that end somewhere and are run again: what they tell, and the models they leave. */
#ifndef CNND_RERUN_H
#define CNND_RERUN_H

#include "../check.h"
#include "device/dev.h"
#include "train/train.h"

#include <stdbool.h>

enum { RERUN_NO_STOP = -1 };

/* A device, a small data set of noise with a pattern, and a job of 15 steps in 3 epochs on it. */
struct rerun {
        char dir[64];
        struct dev *dev;
        struct dataset *data;
        struct train_request request;
};

/* What a run told, and where it is to end. */
struct rerun_watch {
        int stop_after; /* steps; RERUN_NO_STOP */
        bool die;       /* end by an error, as a lost worker would, instead of a stop */
        int cancel_at;  /* the look between steps, or within one, from which on it is cancelled; 0: none */
        int steps, checkpoints, train_events;
        double last_loss;
        char events[64][400], epochs[8][400], note[800]; /* `train` by its step, `validation` by its epoch */
};

/* Fixtures of cmocka: a struct rerun in *state, on CNND_DEVICE or the first device; exits with 77 (skipped)
   where there is none. */
int rerun_set_up(void **state);
int rerun_tear_down(void **state);

/* The job with these fields too; the caller finishes the copy's request, which is all that it owns. */
struct rerun rerun_with(const struct rerun *f, const char *fields);
/* Runs the job in the folder `name`, from the checkpoint that lies there. */
int rerun_run(const struct rerun *f, const char *name, struct rerun_watch *w, struct train_outcome *ret,
        struct err *e);
/* Of the model's file in the folder `name`. */
size_t rerun_model_bytes(const struct rerun *f, const char *name);
/* Both folders have the same model, bit for bit. */
void rerun_compare(const struct rerun *f, const char *whole, const char *name);

#endif
