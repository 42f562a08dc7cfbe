#include "client/chart.h"
#include "base/json.h"
#include "client/rest.h"
#include "client/text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void chart_init(struct chart *c)
{
        const double none = NAN;
        *c = (struct chart){.epoch = none,
                .step = none,
                .images_per_second = none,
                .epochs = none,
                .steps = none,
                .batch = none,
                .steps_at_start = none,
                .took_s = none};
}

void chart_finish(struct chart *c)
{
        for (int i = 0; i < CHART_CURVES; i++)
                free(c->curves[i].points);
        chart_init(c);
}

static const char *architecture_name(const cJSON *request)
{
        const cJSON *a = json_field(request, "architecture");
        return cJSON_IsString(a) ? a->valuestring : rest_text(a, "name", "");
}

static const char *dataset_name(const cJSON *request)
{
        const cJSON *d = json_field(request, "dataset");
        return cJSON_IsString(d) ? d->valuestring : rest_text(d, "name", "");
}

static void set_title(struct chart *c, const cJSON *job, const cJSON *request)
{
        const char *name = rest_text(job, "name", "");
        const char *arch = architecture_name(request), *data = dataset_name(request);
        snprintf(c->title, sizeof c->title, "%.60s%s%.48s%s%.40s", name, name[0] && arch[0] ? ", " : "", arch,
                data[0] ? " on " : "", data);
}

/* Keeps what is known where the object has no such number. */
static void keep(double *v, double fresh)
{
        if (isfinite(fresh))
                *v = fresh;
}

void chart_set_job(struct chart *c, const cJSON *job)
{
        const cJSON *request = json_field(job, "request"), *progress = json_field(job, "progress");
        c->job = (int64_t)fmax(rest_number(job, "id"), 0);
        c->trains = strcmp(rest_text(job, "type", ""), "train") == 0;
        set_title(c, job, request);
        snprintf(c->state, sizeof c->state, "%s", rest_text(job, "state", ""));
        snprintf(c->device, sizeof c->device, "%s", rest_text(job, "device", ""));
        keep(&c->epochs, rest_number(request, "epochs"));
        keep(&c->batch, rest_number(request, "batch_size"));
        keep(&c->steps_at_start, rest_number(progress, "step"));
        if (rest_number(progress, "steps") > 0)
                c->steps = rest_number(progress, "steps");
        keep(&c->took_s, text_time(rest_text(job, "finished_at", NULL)) -
                                 text_time(rest_text(job, "started_at", NULL)));
}

static int add_point(struct chart *c, enum chart_curve which, double x, double y, struct err *e)
{
        if (!isfinite(x) || !isfinite(y))
                return 0;
        if (c->curves[which].count == c->curves[which].cap) {
                size_t cap = c->curves[which].cap ? c->curves[which].cap * 2 : 256;
                struct sketch_point *points = realloc(c->curves[which].points, cap * sizeof *points);
                if (!points)
                        return err_set(e, ERR_NO_MEMORY, "no memory for a curve");
                c->curves[which].points = points;
                c->curves[which].cap = cap;
        }
        c->curves[which].points[c->curves[which].count++] = (struct sketch_point){x, y};
        return 0;
}

void chart_lose_pace(struct chart *c)
{
        c->time_count = 0;
}

static void note_time(struct chart *c, double now)
{
        if (!(c->step > c->steps_at_start)) /* told again from the history, as fast as the network is */
                return;
        c->times[c->time_count % CHART_TIMES].when = now;
        c->times[c->time_count % CHART_TIMES].step = c->step;
        c->time_count++;
}

static int add_train(struct chart *c, const cJSON *data, double now, struct err *e)
{
        keep(&c->epoch, rest_number(data, "epoch"));
        keep(&c->step, rest_number(data, "step"));
        keep(&c->images_per_second, rest_number(data, "images_per_second"));
        note_time(c, now);
        int rc = add_point(c, CHART_TRAIN_LOSS, c->epoch, rest_number(data, "loss"), e);
        return rc ? rc : add_point(c, CHART_TRAIN_ACC, c->epoch, rest_number(data, "acc"), e);
}

static int add_validation(struct chart *c, const cJSON *data, struct err *e)
{
        keep(&c->epoch, rest_number(data, "epoch"));
        int rc = add_point(c, CHART_VAL_LOSS, c->epoch, rest_number(data, "loss"), e);
        return rc ? rc : add_point(c, CHART_VAL_ACC, c->epoch, rest_number(data, "acc"), e);
}

int chart_add_event(struct chart *c, const char *kind, const cJSON *data, double now, struct err *e)
{
        if (strcmp(kind, "train") == 0)
                return add_train(c, data, now, e);
        if (strcmp(kind, "validation") == 0)
                return add_validation(c, data, e);
        if (strcmp(kind, "state") == 0 || strcmp(kind, "end") == 0) {
                snprintf(c->state, sizeof c->state, "%s", rest_text(data, "state", c->state));
                snprintf(c->device, sizeof c->device, "%s", rest_text(data, "device", ""));
                chart_lose_pace(c);
        }
        return 0;
}

static int add_column(
        struct chart *c, enum chart_curve which, const cJSON *columns, const char *key, struct err *e)
{
        const cJSON *x = json_field(columns, "epoch"), *y = json_field(columns, key);
        int rc = 0;
        x = x ? x->child : NULL;
        y = y ? y->child : NULL;
        for (; rc == 0 && x && y; x = x->next, y = y->next)
                if (cJSON_IsNumber(x) && cJSON_IsNumber(y))
                        rc = add_point(c, which, x->valuedouble, y->valuedouble, e);
        if (c->curves[which].count)
                keep(&c->epoch, fmax(c->curves[which].points[c->curves[which].count - 1].x, c->epoch));
        return rc;
}

int chart_add_columns(struct chart *c, const cJSON *curve, struct err *e)
{
        const cJSON *train = json_field(curve, "train"), *validation = json_field(curve, "validation");
        const cJSON *last;
        int rc = add_column(c, CHART_TRAIN_LOSS, train, "loss", e);
        rc = rc ? rc : add_column(c, CHART_TRAIN_ACC, train, "acc", e);
        rc = rc ? rc : add_column(c, CHART_VAL_LOSS, validation, "loss", e);
        rc = rc ? rc : add_column(c, CHART_VAL_ACC, validation, "acc", e);
        cJSON_ArrayForEach(last, json_field(train, "step"))
        {
                if (cJSON_IsNumber(last))
                        c->step = last->valuedouble;
        }
        cJSON_ArrayForEach(last, json_field(train, "images_per_second"))
        {
                if (cJSON_IsNumber(last))
                        c->images_per_second = last->valuedouble;
        }
        return rc;
}

double chart_last(const struct chart *c, enum chart_curve which)
{
        size_t n = c->curves[which].count;
        return n ? c->curves[which].points[n - 1].y : (double)NAN;
}

bool chart_over(const struct chart *c)
{
        return strcmp(c->state, "succeeded") == 0 || strcmp(c->state, "failed") == 0 ||
               strcmp(c->state, "cancelled") == 0;
}

double chart_done(const struct chart *c)
{
        if (strcmp(c->state, "succeeded") == 0)
                return 1;
        double done = isfinite(c->steps) ? c->step / c->steps : c->epoch / c->epochs;
        return isfinite(done) ? fmin(fmax(done, 0), 1) : 0;
}

double chart_left_s(const struct chart *c, double now)
{
        int n = c->time_count < CHART_TIMES ? c->time_count : CHART_TIMES;
        if (n >= 2 && isfinite(c->steps)) {
                int last = (c->time_count - 1) % CHART_TIMES,
                    first = c->time_count % CHART_TIMES * (n == CHART_TIMES);
                double took = c->times[last].when - c->times[first].when;
                double pace = (c->times[last].step - c->times[first].step) / took;
                if (took > 1 && pace > 0)
                        return fmax((c->steps - c->step) / pace - (now - c->times[last].when), 0);
        }
        return (c->steps - c->step) * c->batch / c->images_per_second;
}

double chart_epochs(const struct chart *c)
{
        double by_steps = c->step > 0 && c->epoch > 0 ? c->steps * c->epoch / c->step : (double)NAN;
        return isfinite(by_steps) ? by_steps : isfinite(c->epochs) ? c->epochs : c->epoch;
}
