/* One training job, step by step. */
#include "base/clock.h"
#include "base/str.h"
#include "net/exec.h"
#include "train/buffers.h"
#include "train/checkpoint.h"
#include "train/estimate.h"
#include "train/feeder.h"
#include "train/points.h"
#include "train/result.h"
#include "train/start.h"
#include "train/train.h"
#include "train/tuning.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Sums over the validation split. */
struct score {
        double loss, weight;
        int64_t correct, count;
};

struct run {
        struct dev *dev;                 /* borrowed */
        const struct train_job *job;     /* borrowed */
        const struct train_hooks *hooks; /* borrowed */
        const struct train_request *request;
        struct setup *setup; /* owned, as all below */
        struct strategies *strategies;
        struct buffers buffers;
        struct exec *exec[SETUP_PHASES][2]; /* overwriting gradients and results, adding to them */
        struct feeder *feeder[DATASET_SPLITS];
        struct update *update;
        float *block, *state;    /* host copies of the parameters and the optimizer's state */
        float *best;             /* the parameters of the epoch `kept`, NULL where nobody wants them */
        struct best kept;        /* behind progress.best between an epoch's end and its checkpoint */
        struct str damage, note; /* what people should know of the start */
        struct progress progress;
        struct {
                int n;
                double weight;
        } pending[SETUP_SLOTS]; /* the batches whose results are still on the device */
        int num_pending;
        int32_t vars_host[OP_VARS];
        double step_seconds; /* of the last one; 0 before the first */
        bool is_behind;      /* the last step may still be on the device, and nobody has looked how it ends */
        int64_t report_every;
        double report_time, checkpoint_time;
        int64_t report_count;     /* images since report_time */
        bool diverged, cancelled; /* why it ended, beside the error */
};

static int make_buffers(struct run *r, struct err *e)
{
        int rc = buffers_init(r->dev, r->setup, &r->buffers, e);
        for (int i = 0; i < DATASET_SPLITS && rc == 0; i++)
                if (r->setup->count[i])
                        rc = feeder_create(
                                r->dev, r->setup, r->job->data, (enum dataset_split)i, &r->feeder[i], e);
        return rc;
}

static int record_all(struct run *r, struct err *e)
{
        struct exec_memory m = buffers_memory(&r->buffers);
        m.strategies = r->strategies;
        m.scale_from_vars = true;
        m.precision = r->request->precision;
        for (int i = 0; i < 2 * SETUP_PHASES; i++) {
                m.accumulate = i % 2;
                if (!r->setup->plans[i / 2] || !(m.accumulate ? r->setup->adds : r->setup->begins)[i / 2])
                        continue;
                int rc = exec_create(
                        r->dev, r->setup->net, r->setup->plans[i / 2], &m, 0, &r->exec[i / 2][i % 2], e);
                if (rc)
                        return rc;
        }
        const struct update_memory update = {m.params, m.grads, m.vars, r->setup->net->trainable_floats, 0};
        return update_create(r->dev, &r->request->optimizer, &update, &r->update, e);
}

static struct checkpoint numbers_of(const struct run *r)
{
        return (struct checkpoint){r->setup->net, &r->request->optimizer, r->block, r->state, r->best};
}

static int load_numbers(struct run *r, struct err *e)
{
        const struct net *net = r->setup->net;
        uint64_t states = (uint64_t)r->setup->update.num_states * net->trainable_floats;
        r->block = malloc(net->param_floats * sizeof *r->block);
        r->state = malloc((states ? states : 1) * sizeof *r->state);
        r->best = r->request->save_best ? malloc(net->param_floats * sizeof *r->best) : NULL;
        if (!r->block || !r->state || (r->request->save_best && !r->best))
                return err_set(e, ERR_NO_MEMORY, "no memory for the weights");
        const struct checkpoint numbers = numbers_of(r);
        int rc = start_numbers(r->job, &numbers, &r->progress, &r->damage, &r->note, e);
        r->kept = r->progress.best;
        if (rc == 0)
                rc = buf_write(r->buffers.params, 0, r->block, net->param_floats * sizeof *r->block, e);
        return rc ? rc : update_write_state(r->update, r->state, e);
}

static void run_finish(struct run *r)
{
        /* After an error commands may still be on their way: they read what is freed here. */
        dev_finish(r->dev, NULL);
        for (int i = 0; i < SETUP_PHASES; i++)
                for (int k = 0; k < 2; k++)
                        exec_destroy(r->exec[i][k]);
        for (int i = 0; i < DATASET_SPLITS; i++)
                feeder_destroy(r->feeder[i]);
        update_destroy(r->update);
        buffers_finish(&r->buffers);
        setup_destroy(r->setup);
        strategies_destroy(r->strategies);
        free(r->block);
        free(r->state);
        free(r->best);
        str_free(&r->damage);
        str_free(&r->note);
}

/* Of the step after `step` others. */
static double rate_at(const struct run *r, int64_t step)
{
        const struct optimizer_spec *o = &r->request->optimizer;
        return schedule_lr(&o->schedule, o->lr, step, r->setup->steps_per_epoch, r->setup->steps);
}

/* `weight` is that of the whole batch, `first` where the micro-batch begins in it. */
static int set_vars(struct run *r, int slot, double weight, int first, struct err *e)
{
        float scale = weight > 0 ? 1.0f / (float)weight : 0.0f;
        int32_t step = (int32_t)r->progress.step;
        update_vars(&r->request->optimizer, rate_at(r, r->progress.step), r->progress.step, r->vars_host);
        memcpy(&r->vars_host[OP_VAR_STEP], &step, sizeof step);
        memcpy(&r->vars_host[OP_VAR_SCALE], &scale, sizeof scale);
        r->vars_host[OP_VAR_SLOT] = slot;
        r->vars_host[OP_VAR_FIRST] = first;
        r->vars_host[OP_VAR_SEED] = (int32_t)(uint32_t)r->request->seed;
        r->vars_host[OP_VAR_SEED + 1] = (int32_t)(uint32_t)(r->request->seed >> 32);
        return buf_write_later(r->buffers.vars, 0, r->vars_host, sizeof r->vars_host, e);
}

static int diverged(struct run *r, const char *what, int64_t step, struct err *e)
{
        r->diverged = true;
        return points_diverged(r->setup, &r->kept, what, step, e);
}

/* Between two parts of a step or of a validation: classifications are answered, and a cancel ends it. */
static int between_parts(struct run *r, struct err *e)
{
        r->cancelled = r->hooks->between_steps(r->hooks->ctx) == TRAIN_CANCEL;
        return r->cancelled ? err_set(e, ERR_STATE, "cancelled") : 0;
}

/* Reads the results of the steps that are still on the device, in their order. */
static int drain(struct run *r, struct err *e)
{
        float results[SETUP_SLOTS][2];
        if (r->num_pending == 0)
                return 0;
        if (buf_read(r->buffers.results, 0, results, (size_t)r->num_pending * sizeof results[0], e))
                return err_wrap(e, "step %" PRId64, r->progress.step);
        for (int i = 0; i < r->num_pending; i++) {
                int64_t step = r->progress.step - r->num_pending + i + 1;
                int n = r->pending[i].n;
                /* The batch's mean by weights, once for each of its images. */
                double loss = r->pending[i].weight > 0 ? (double)results[i][0] / r->pending[i].weight * n : 0;
                if (!isfinite(results[i][0]))
                        return diverged(r, "the loss is not a finite number at", step, e);
                r->progress.window.loss += loss;
                r->progress.window.correct += (int64_t)results[i][1];
                r->progress.window.count += n;
                r->progress.epoch.loss += loss;
                r->progress.epoch.correct += (int64_t)results[i][1];
                r->progress.epoch.count += n;
        }
        r->num_pending = 0;
        return 0;
}

static int emit(struct run *r, const char *event, struct str *data, struct err *e)
{
        int rc = data->failed ? err_set(e, ERR_NO_MEMORY, "no memory for an event")
                              : r->hooks->event(r->hooks->ctx, event, data->data, e);
        str_free(data);
        return rc;
}

static int report(struct run *r, struct err *e)
{
        struct str s = {0};
        struct progress *p = &r->progress;
        double seconds = clock_now_s() - r->report_time;
        points_train(&s, r->setup, p, rate_at(r, p->step - 1),
                seconds > 0 ? (double)r->report_count / seconds : 0);
        memset(&p->window, 0, sizeof p->window);
        r->report_time = clock_now_s();
        r->report_count = 0;
        return emit(r, "train", &s, e);
}

static int evaluate(struct run *r, struct score *ret, struct err *e)
{
        struct score sum = {0};
        int count = r->setup->count[DATASET_VAL];
        struct view labels = {r->buffers.labels, 0};
        for (int first = 0; first < count;) {
                int n = count - first < r->setup->eval_batch ? count - first : r->setup->eval_batch;
                struct exec *x = r->exec[n == r->setup->eval_batch ? SETUP_EVAL : SETUP_EVAL_LAST][0];
                double weight = feeder_weight(r->feeder[DATASET_VAL], first, n, r->setup->class_weights);
                struct tensor input = exec_input(x);
                float result[2];
                int rc = between_parts(r, e);
                if (rc == 0)
                        rc = set_vars(r, 0, weight, 0, e);
                if (rc == 0)
                        rc = feeder_next(r->feeder[DATASET_VAL], first, &input, &labels, e);
                if (rc == 0)
                        rc = exec_run(x, e);
                if (rc == 0)
                        rc = buf_read(r->buffers.results, 0, result, sizeof result, e);
                if (rc)
                        return rc;
                sum.loss += (double)result[0];
                sum.weight += weight;
                sum.correct += (int64_t)result[1];
                sum.count += n;
                first += n;
        }
        *ret = sum;
        return 0;
}

static int validate(struct run *r, struct err *e)
{
        struct str s = {0};
        struct score v = {0};
        struct progress *p = &r->progress;
        int rc = r->feeder[DATASET_VAL] ? evaluate(r, &v, e) : 0;
        if (rc)
                return err_wrap(e, "validation");
        if (!isfinite(v.loss))
                return diverged(r, "the validation loss is not a finite number after", p->step, e);
        const double metrics[METRICS] = {v.weight > 0 ? v.loss / v.weight : 0,
                points_mean((double)v.correct, v.count), points_mean(p->epoch.loss, p->epoch.count),
                points_mean((double)p->epoch.correct, p->epoch.count)};
        stopping_note(&r->request->stop_when, metrics, &p->stopping);
        best_note(r->request->save_best, p->step, metrics, &p->best);
        points_validation(&s, r->setup, p->step, metrics, &p->best);
        return emit(r, "validation", &s, e);
}

/* A loss is of the weights before its step: the last step may have ruined them unseen. */
static int fetch_weights(struct run *r, struct err *e)
{
        const uint64_t count = r->setup->net->param_floats;
        int rc = buf_read(r->buffers.params, 0, r->block, count * sizeof *r->block, e);
        for (uint64_t i = 0; i < count && rc == 0; i++)
                if (!isfinite(r->block[i]))
                        rc = diverged(r, "a weight is not a finite number after", r->progress.step, e);
        return rc;
}

static int save_checkpoint(struct run *r, struct err *e)
{
        struct str s = {0};
        int rc = drain(r, e);
        if (rc == 0)
                rc = fetch_weights(r, e);
        if (rc == 0 && r->best && r->progress.best.step == r->progress.step) {
                memcpy(r->best, r->block, r->setup->net->param_floats * sizeof *r->best);
                r->kept = r->progress.best;
        }
        if (rc == 0)
                rc = update_read_state(r->update, r->state, e);
        const struct checkpoint numbers = numbers_of(r);
        if (rc == 0 && r->hooks->before_checkpoint)
                rc = r->hooks->before_checkpoint(r->hooks->ctx, e);
        if (rc == 0)
                rc = checkpoint_write(r->job->dir, &numbers, &r->progress, e);
        if (rc)
                return rc;
        r->checkpoint_time = clock_now_s();
        str_addf(&s, "{\"step\":%" PRId64 "}", r->progress.step);
        return emit(r, "checkpoint", &s, e);
}

/* Forward and backward of `n` images, `done` of whose batch of `batch` are through already. */
static int micro_step(struct run *r, int first, int done, int n, int batch, double weight, struct err *e)
{
        const struct setup *s = r->setup;
        enum setup_phase phase = n == s->micro_batch               ? SETUP_TRAIN
                                 : batch == r->request->batch_size ? SETUP_TRAIN_REST
                                                                   : SETUP_TRAIN_LAST;
        struct exec *x = r->exec[phase][done > 0];
        struct tensor input = exec_input(x);
        struct view labels = {r->buffers.labels, 0};
        int rc = set_vars(r, r->num_pending, weight, done, e);
        if (rc == 0)
                rc = feeder_next(r->feeder[DATASET_TRAIN], first + done, &input, &labels, e);
        if (rc == 0)
                rc = exec_run(x, e);
        return rc;
}

/* Whether the device gets the next step before it is done with this one: a short one would leave it idle
 * while the host is told and enqueues again. Who asks then waits for two. */
static bool goes_ahead(const struct run *r)
{
        return r->hooks->asked && dev_info(r->dev)->type == DEV_GPU && r->step_seconds > 0 &&
               r->step_seconds < 0.005;
}

/* Forward, backward, update: enqueued, and waited for, so that who asks between steps is answered at once; of
   steps that are short the one before is waited for. */
static int step(struct run *r, struct err *e)
{
        const struct setup *s = r->setup;
        const double from = clock_now_s();
        int64_t position = r->progress.step % s->steps_per_epoch;
        int first = (int)(position * r->request->batch_size), left = s->count[DATASET_TRAIN] - first, rc = 0;
        int n = left < r->request->batch_size ? left : r->request->batch_size;
        double weight = feeder_weight(r->feeder[DATASET_TRAIN], first, n, s->class_weights);
        for (int done = 0; done < n && rc == 0; done += s->micro_batch) {
                int part = n - done < s->micro_batch ? n - done : s->micro_batch;
                if (done > 0)
                        rc = dev_finish(r->dev, e); /* the variables are read until then */
                if (rc == 0 && done > 0)
                        rc = between_parts(r, e);
                if (rc == 0)
                        rc = micro_step(r, first, done, part, n, weight, e);
        }
        if (rc == 0)
                rc = update_run(r->update, e);
        r->is_behind = rc == 0 && goes_ahead(r);
        if (rc == 0)
                rc = r->is_behind ? dev_catch_up(r->dev, e) : dev_finish(r->dev, e);
        if (rc) /* of a step ahead of the device the one before */
                return err_wrap(e, "step %" PRId64, r->progress.step + !r->is_behind);
        if (n == r->request->batch_size) /* a smaller one tells nothing of the next */
                r->step_seconds = clock_now_s() - from;
        r->pending[r->num_pending].n = n;
        r->pending[r->num_pending++].weight = weight;
        r->progress.step++;
        r->report_count += n;
        return 0;
}

/* What is due after a step. */
static int after_step(struct run *r, struct err *e)
{
        int64_t done = r->progress.step;
        bool epoch_end = done % r->setup->steps_per_epoch == 0, last = done == r->setup->steps;
        bool due = done % r->report_every == 0 || last;
        int rc = 0;
        if (due || epoch_end || r->num_pending == SETUP_SLOTS)
                rc = drain(r, e);
        if (rc == 0 && due)
                rc = report(r, e);
        if (rc == 0 && (epoch_end || last))
                rc = validate(r, e);
        if (rc == 0 && epoch_end)
                memset(&r->progress.epoch, 0, sizeof r->progress.epoch);
        if (rc == 0 &&
                (epoch_end || last || clock_now_s() - r->checkpoint_time >= r->job->checkpoint_seconds))
                rc = save_checkpoint(r, e);
        return rc;
}

static int tell(struct run *r, const struct str *text, struct err *e)
{
        struct str s = {0};
        if (!text->len && !text->failed)
                return 0;
        points_note(&s, text);
        return emit(r, "note", &s, e);
}

static bool stops_early(const struct run *r)
{
        return r->progress.step < r->setup->steps &&
               stopping_due(&r->request->stop_when, &r->progress.stopping);
}

/* What others have enqueued comes only after it was seen how the run's own steps ended. */
static int ask(struct run *r, enum train_want *ret, struct err *e)
{
        *ret = TRAIN_GO;
        if (r->is_behind && !r->hooks->asked(r->hooks->ctx))
                return 0;
        if (r->is_behind && dev_finish(r->dev, e))
                return err_wrap(e, "step %" PRId64, r->progress.step);
        r->is_behind = false;
        *ret = r->hooks->between_steps(r->hooks->ctx);
        return 0;
}

/* Continues until the job's end or until somebody wants a stop. */
static int loop(struct run *r, enum train_end *ret_end, struct err *e)
{
        const struct setup *s = r->setup;
        int64_t ordered_epoch = -1;
        int rc = tell(r, &r->damage, e);
        rc = rc ? rc : tell(r, &r->note, e);
        *ret_end = TRAIN_DONE;
        while (r->progress.step < s->steps && !stops_early(r) && rc == 0) {
                enum train_want want;
                rc = ask(r, &want, e);
                if (rc == 0 && want != TRAIN_GO) {
                        *ret_end = want == TRAIN_STOP ? TRAIN_STOPPED : TRAIN_CANCELLED;
                        return want == TRAIN_STOP ? save_checkpoint(r, e) : 0;
                }
                int64_t epoch = r->progress.step / s->steps_per_epoch;
                if (rc == 0 && epoch != ordered_epoch) {
                        rc = feeder_order(r->feeder[DATASET_TRAIN], r->request->shuffle, r->request->seed,
                                (uint32_t)epoch, e);
                        ordered_epoch = epoch;
                }
                const bool first_here = r->report_time == 0;
                if (first_here)
                        r->report_time = r->checkpoint_time = clock_now_s();
                if (rc == 0)
                        rc = step(r, e);
                if (rc == 0)
                        rc = after_step(r, e);
                if (rc == 0 && first_here)
                        prog_save(r->dev, NULL); /* the next start compiles again where this fails: no harm */
        }
        return rc;
}

/* The model of the best epoch, and what its event said. */
static int save_best(struct run *r, struct train_outcome *out, struct err *e)
{
        const int rc = result_write(r->job, r->setup->net, r->best, e);
        return rc ? rc : points_best(out->best, r->setup, &r->kept, e);
}

static int save_model(struct run *r, struct train_outcome *out, struct err *e)
{
        const int rc = fetch_weights(r, e);
        if (rc || r->kept.step)
                return rc ? rc : save_best(r, out, e);
        return result_write(r->job, r->setup->net, r->block, e);
}

/* What is left of a run that ended by an error which is none of the machine's. */
static int save_rest(struct run *r, struct train_outcome *out, struct err *e)
{
        out->end = r->cancelled ? TRAIN_CANCELLED : TRAIN_DIVERGED;
        if (r->cancelled)
                return 0;
        out->why = *e;
        return save_best(r, out, e);
}

int train_run(struct dev *d, const struct train_job *job, const struct train_hooks *hooks,
        struct train_outcome *ret, struct err *e)
{
        struct run r = {.dev = d, .job = job, .hooks = hooks, .request = job->request};
        struct train_outcome out = {.end = TRAIN_DONE};
        struct dev_info info = *dev_info(d);
        if (dev_free_bytes(d) < info.global_bytes)
                info.global_bytes = dev_free_bytes(d);
        int rc = estimate_setup(job->request, job->data, &info, &r.setup, e);
        if (rc == 0)
                rc = start_test(d, r.setup, job, e);
        if (rc == 0)
                rc = tuning_bind(d, r.setup, job, hooks, &r.strategies, e);
        if (rc == 0)
                rc = make_buffers(&r, e);
        if (rc == 0)
                rc = record_all(&r, e);
        if (rc == 0)
                rc = load_numbers(&r, e);
        if (rc == 0) {
                r.report_every = train_request_report_every(job->request, r.setup->steps_per_epoch);
                rc = loop(&r, &out.end, e);
        }
        if (rc == 0 && out.end == TRAIN_DONE)
                rc = save_model(&r, &out, e);
        if (rc && (r.cancelled || (r.diverged && r.kept.step)))
                rc = save_rest(&r, &out, e);
        if (rc == 0) {
                out.step = r.progress.step;
                out.device_bytes = dev_peak_bytes(d);
                out.stopped_early = out.end == TRAIN_DONE && stops_early(&r);
                out.epoch = (double)r.progress.step / (double)r.setup->steps_per_epoch;
                *ret = out;
        }
        run_finish(&r);
        return rc;
}
