/* What the tests of training share: a device, a small data set of noise with a pattern, and jobs run on them.
 */
#ifndef CNND_TRAINER_H
#define CNND_TRAINER_H

#include "../check.h"
#include "device/dev.h"
#include "train/train.h"

struct trainer {
        char dir[64];
        struct dev *dev;
        struct dataset *data;
        const struct train_tuning *tuning; /* borrowed, of the jobs that run; NULL for none */
};

/* What a run told. `events` are the lines of `train` and `validation` events without what time has a part in.
 */
struct trainer_log {
        int steps;
        double losses[64], val_loss;
        char events[64][400], note[400]; /* the last note */
        struct train_outcome outcome;
};

/* Opens CNND_DEVICE, else the first device, with `limit` bytes (0: its own); exits with 77 (skipped) where
 * there is none. */
struct trainer *trainer_open(uint64_t limit);
void trainer_close(struct trainer *t);
/* Fixtures of cmocka: a struct trainer in *state. */
int trainer_set_up(void **state);
int trainer_tear_down(void **state);
/* Replaces t->data: `train` and `val` images of c x side x side bytes; label i is of image i % classes,
   except that class 0 is thrice as frequent where `skewed`. */
void trainer_data(struct trainer *t, int c, int side, int classes, int train, int val, bool skewed);
void trainer_parse(const char *job, struct train_request *ret);
/* Runs a job in the folder `name`, stopping after `stop_after` steps of this run (0: not), and fails the test
   where it fails. An init.from names the folder of another job. */
void trainer_run(
        struct trainer *t, const char *job, const char *name, int stop_after, struct trainer_log *log);
/* The same, but returns how it went. */
int trainer_try(struct trainer *t, const char *job, const char *name, int stop_after, struct trainer_log *log,
        struct err *e);
/* The parameters of a job's saved model in the file's order, as floats; the caller frees them. */
float *trainer_weights(const struct trainer *t, const char *name, size_t *ret_count);

#endif
