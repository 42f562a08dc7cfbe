/* What is known of a training job while it runs: its curves, its newest numbers, its progress, the time that
   is left. */
#ifndef CNND_CHART_H
#define CNND_CHART_H

#include "base/err.h"
#include "client/sketch.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum chart_curve { CHART_TRAIN_LOSS, CHART_VAL_LOSS, CHART_TRAIN_ACC, CHART_VAL_ACC, CHART_CURVES };
enum { CHART_TIMES = 16 };

/* Numbers are NAN while they are not known. */
struct chart {
        int64_t job;
        char title[160]; /* "first try · bn-lenet on fashion-mnist", not cleaned for the terminal */
        char state[16], device[32];
        bool trains; /* a job of type train: one with curves */
        struct {
                struct sketch_point *points; /* owned; x is the epoch */
                size_t count, cap;
        } curves[CHART_CURVES];
        double epoch, step, images_per_second;
        double epochs, steps;         /* of the whole job */
        double batch, steps_at_start; /* a batch's images; the step that the job object told */
        double took_s;                /* from start to end */
        struct {
                double when, step;
        } times[CHART_TIMES]; /* the last live points, a ring */
        int time_count;
};

void chart_init(struct chart *c);
void chart_finish(struct chart *c);

/* Takes name, network, state, totals and, once the job is over, its duration from a job object of the API. */
void chart_set_job(struct chart *c, const cJSON *job);
/* Takes an event. `now` is any steady clock in seconds. ERR_NO_MEMORY. */
int chart_add_event(struct chart *c, const char *kind, const cJSON *data, double now, struct err *e);
/* Takes the columns of GET /v1/jobs/ID/curve. ERR_NO_MEMORY. */
int chart_add_columns(struct chart *c, const cJSON *curve, struct err *e);
/* Forgets what the pace was measured by: the job stood still. */
void chart_lose_pace(struct chart *c);

/* The newest value of a curve. */
double chart_last(const struct chart *c, enum chart_curve which);
/* How much of the job is done, 0 to 1. */
double chart_done(const struct chart *c);
/* Seconds that the rest takes at the pace of the last points. */
double chart_left_s(const struct chart *c, double now);
/* The epoch at which the job ends. */
double chart_epochs(const struct chart *c);
/* True in a state that is final. */
bool chart_over(const struct chart *c);

#endif
