/* The learning rate of every step: a pure function of the step, so that a resumed run goes on alike.

   W = warmup_epochs in steps, N = all steps of the job, t = steps done before this one (0 for the first):

   t < W      lr * t / W: linear from 0
   constant   lr
   step       lr * gamma^floor((t - W) / (step_epochs in steps))
   cosine     min_lr + (lr - min_lr) * (1 + cos(pi (t - W) / (N - W))) / 2

   Step is torch.optim.lr_scheduler.StepLR, stepped every epoch; cosine is CosineAnnealingLR with T_max = N -
   W, stepped every step (Loshchilov, Hutter: SGDR, 2017, without restarts).

   A job that `max_steps` cuts short has N = max_steps. */
#ifndef CNND_SCHEDULE_H
#define CNND_SCHEDULE_H

#include "base/err.h"

#include <cjson/cJSON.h>
#include <stdint.h>

enum schedule_kind { SCHEDULE_CONSTANT, SCHEDULE_STEP, SCHEDULE_COSINE };

/* All zero: the rate stays as it is. */
struct schedule_spec {
        enum schedule_kind kind;
        double warmup_epochs; /* may be a part of one */
        int step_epochs;      /* of step */
        double gamma;         /* of step */
        double min_lr;        /* of cosine */
};

/* Fills *ret from a name or {"name" (needed), "warmup_epochs", …} at the pointer `at`. `lr` and `epochs` are
   the job's:

   Field           of        default   allowed
   warmup_epochs   all       0         0 to epochs
   step_epochs     step      needed    1 to 100000
   gamma           step      0.1       1e-6 to 1
   min_lr          cosine    0         0 to lr */
int schedule_parse(
        const cJSON *json, const char *at, double lr, int epochs, struct schedule_spec *ret, struct err *e);

double schedule_lr(
        const struct schedule_spec *s, double lr, int64_t step, int64_t steps_per_epoch, int64_t steps);

#endif
