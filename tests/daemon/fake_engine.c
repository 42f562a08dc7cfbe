/* An engine without a device, linked in place of the real one by tests of the daemon's processes: a training
   run is a hash that moves once a step, so that two runs are equal exactly when their steps were; it is the
   weights and the loss in one.

   Environment: CNND_FAKE_STEP_MS sleeps in every step, CNND_FAKE_INFER_MS for every batch; for more models
   than CNND_FAKE_ROOM (0: any number) the device has no memory when one of them runs. A job's name makes it
   misbehave: "abort N" aborts at step N, every time; "fail N" fails there, "full N" finds the disk full,
   "broken N" that it cannot be written, "short N" no memory; "ruin N" fails there like "fail N", and leaves
   its best epoch's model where it keeps one; "lie N" tells of a step there that there is not. "rest N" sleeps
   N ms in every step. */
#include "fake_device.h"

#include "base/file.h"
#include "base/str.h"
#include "data/dataset.h"
#include "device/dev.h"
#include "model/safetensors.h"
#include "train/best.h"
#include "train/early.h"
#include "train/infer.h"
#include "train/initfit.h"
#include "train/train.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cjson/cJSON.h>

struct infer {
        int input[3], classes;
};

static int infers; /* that there are */

/* The one that comes with the machine, where a test says from where; else they bring their own. */
char fake_known_dir[200];
const struct dataset_known dataset_known[] = {{"machine", fake_known_dir, NULL, 0}};
const int dataset_known_count = 1;

int early_compile(struct dev *d, struct err *e)
{
        (void)d;
        (void)e;
        return 0;
}

static int64_t steps_an_epoch(const struct train_request *r, const struct dataset *data)
{
        return (data->split[DATASET_TRAIN].count + r->batch_size - 1) / r->batch_size;
}

int train_plan(const struct train_request *r, const struct dataset *data, const struct dev_info *info,
        struct train_estimate *ret, struct err *e)
{
        if ((uint64_t)r->batch_size * 1024 > info->global_bytes)
                return err_at(
                        e, ERR_DEVICE_MEMORY, "/batch_size", "a batch of %d does not fit", r->batch_size);
        *ret = (struct train_estimate){.device_bytes = (uint64_t)r->batch_size * 1024,
                .largest_buffer = 1024,
                .micro_batch = r->batch_size,
                .model_bytes = (uint64_t)env_int("CNND_FAKE_MODEL_BYTES", 4096),
                .steps = r->epochs * steps_an_epoch(r, data)};
        return 0;
}

int initfit_check(const struct train_request *r, const struct dataset *data, const struct safetensors *model,
        struct err *e)
{
        (void)r;
        (void)data;
        (void)model;
        (void)e;
        return 0;
}

/* The state of a run: all that a checkpoint holds. */
struct state {
        int64_t step;
        uint64_t hash, best_hash;
        struct best best;
};

static float loss_of(const struct state *s)
{
        return (float)(s->hash >> 40) / (float)(1 << 24);
}

static int write_file(const char *dir, const char *name, const void *bytes, size_t len, struct err *e)
{
        char path[4096];
        struct file_new *f;
        snprintf(path, sizeof path, "%s/%s", dir, name);
        int rc = file_create(path, &f, e);
        if (rc)
                return rc;
        rc = file_write(f, bytes, len, e);
        if (rc == 0)
                return file_commit(f, e);
        file_abandon(f);
        return rc;
}

static void read_checkpoint(const char *dir, struct state *s)
{
        char path[4096];
        snprintf(path, sizeof path, "%s/checkpoint.safetensors", dir);
        FILE *f = fopen(path, "rb");
        if (!f)
                return;
        if (fread(s, sizeof *s, 1, f) != 1)
                abort();
        fclose(f);
}

static void note_epoch(const struct train_request *r, struct state *s)
{
        const double metrics[METRICS] = {loss_of(s), 0.5, 0.25, 0.75};
        best_note(r->save_best, s->step, metrics, &s->best);
        if (s->best.step == s->step)
                s->best_hash = s->hash;
}

static struct state best_of(const struct state *s)
{
        return (struct state){s->best.step, s->best_hash, s->best_hash, s->best};
}

static void add_point(struct str *text, const struct state *s, int64_t an_epoch)
{
        str_add(text, ",\"epoch\":");
        str_add_double(text, (double)s->step / (double)an_epoch);
        str_add(text, ",\"loss\":");
        str_add_float(text, loss_of(s));
        str_add(text, ",\"acc\":0.5,\"train_loss\":0.25,\"train_acc\":0.75,\"epoch_loss\":0.5,"
                      "\"epoch_acc\":0.5,\"images_per_second\":1000");
        if (s->best.step) {
                str_add(text, ",\"best_epoch\":");
                str_add_double(text, (double)s->best.step / (double)an_epoch);
        }
}

static int send_event(const struct train_hooks *hooks, const char *event, const struct state *s,
        int64_t an_epoch, struct err *e)
{
        struct str text = {0};
        str_addf(&text, "{\"step\":%lld", (long long)s->step);
        if (strcmp(event, "checkpoint") != 0)
                add_point(&text, s, an_epoch);
        str_add(&text, "}");
        int rc = hooks->event(hooks->ctx, event, text.data, e);
        str_free(&text);
        return rc;
}

static int write_checkpoint(
        const struct train_job *job, const struct train_hooks *hooks, const struct state *s, struct err *e)
{
        int rc = hooks->before_checkpoint(hooks->ctx, e);
        if (rc == 0)
                rc = write_file(job->dir, "checkpoint.safetensors", s, sizeof *s, e);
        return rc ? rc : send_event(hooks, "checkpoint", s, 0, e);
}

static int write_model(const struct train_job *job, const struct state *s, struct err *e)
{
        char path[4096], input[64];
        const struct dataset *d = job->data;
        const float weight = loss_of(s);
        const struct safetensors_tensor t = {.name = "net.0.weight",
                .type = SAFETENSORS_F32,
                .ndim = 1,
                .dims = {1},
                .data = &weight,
                .bytes = sizeof weight};
        snprintf(path, sizeof path, "%s/model.safetensors", job->dir);
        snprintf(input, sizeof input, "[%d,%d,%d]", d->c, d->h, d->w);
        cJSON *names = cJSON_CreateStringArray((const char *const *)d->classes, d->num_classes);
        char *classes = cJSON_PrintUnformatted(names);
        const char *const metadata[] = {"architecture", "\"fake\"", "input", input, "classes", classes, NULL};
        int rc = safetensors_write(path, &t, 1, metadata, e);
        free(classes);
        cJSON_Delete(names);
        return rc;
}

static int misbehave(const struct train_job *job, const struct state *s, struct err *e)
{
        long long at;
        if (sscanf(job->request->title, "abort %lld", &at) == 1 && s->step == at)
                abort();
        if ((sscanf(job->request->title, "fail %lld", &at) == 1 ||
                    sscanf(job->request->title, "ruin %lld", &at) == 1) &&
                s->step == at)
                return err_set(
                        e, ERR_INVALID, "the loss is NaN at step %lld: try a smaller learning rate", at);
        if (sscanf(job->request->title, "full %lld", &at) == 1 && s->step == at)
                return err_set(e, ERR_DISK, "the checkpoint: No space left on device");
        if (sscanf(job->request->title, "broken %lld", &at) == 1 && s->step == at)
                return err_set(e, ERR_IO, "the checkpoint: Input/output error");
        if (sscanf(job->request->title, "short %lld", &at) == 1 && s->step == at)
                return err_set(e, ERR_NO_MEMORY, "no memory for a checkpoint");
        return 0;
}

/* What an event is to tell of. */
static struct state told(const struct train_job *job, const struct state *s)
{
        struct state t = *s;
        long long at;
        if (sscanf(job->request->title, "lie %lld", &at) == 1 && s->step == at)
                t.step = (int64_t)1 << 40;
        return t;
}

static void sleep_ms(int64_t ms)
{
        if (ms > 0)
                nanosleep(&(struct timespec){.tv_nsec = (long)ms * 1000000L}, NULL);
}

static int one_step(
        const struct train_job *job, const struct train_hooks *hooks, struct state *s, struct err *e)
{
        int64_t an_epoch = steps_an_epoch(job->request, job->data);
        long long ms;
        if (sscanf(job->request->title, "rest %lld", &ms) != 1)
                ms = env_int("CNND_FAKE_STEP_MS", 0);
        sleep_ms(ms);
        s->step++;
        s->hash = (s->hash ^ (uint64_t)s->step) * 0x9E3779B97F4A7C15U;
        const struct state t = told(job, s);
        int rc = misbehave(job, s, e);
        if (rc == 0)
                rc = send_event(hooks, "train", &t, an_epoch, e);
        if (rc == 0 && s->step % an_epoch == 0)
                note_epoch(job->request, s);
        if (rc == 0 && s->step % an_epoch == 0)
                rc = send_event(hooks, "validation", s, an_epoch, e);
        if (rc == 0 && s->step % an_epoch == 0)
                rc = write_checkpoint(job, hooks, s, e);
        return rc;
}

static int end_run(
        const struct train_job *job, const struct state *s, struct train_outcome *ret, struct err *e)
{
        const int64_t an_epoch = steps_an_epoch(job->request, job->data);
        const struct state best = best_of(s);
        struct str text = {0};
        int rc = write_model(job, best.step ? &best : s, e);
        if (rc)
                return rc;
        *ret = (struct train_outcome){.end = TRAIN_DONE,
                .step = s->step,
                .device_bytes = 4096,
                .stopped_early = s->step < job->request->epochs * an_epoch,
                .epoch = (double)s->step / (double)an_epoch};
        if (best.step) {
                str_addf(&text, "{\"step\":%lld", (long long)best.step);
                add_point(&text, &best, an_epoch);
                str_add(&text, "}");
                snprintf(ret->best, sizeof ret->best, "%s", text.data);
        }
        str_free(&text);
        return 0;
}

int train_run(struct dev *d, const struct train_job *job, const struct train_hooks *hooks,
        struct train_outcome *ret, struct err *e)
{
        struct state s = {.hash = job->request->seed};
        int64_t steps = job->request->epochs * steps_an_epoch(job->request, job->data);
        int rc = 0;
        (void)d;
        read_checkpoint(job->dir, &s);
        if (strcmp(job->request->title, "note") == 0)
                rc = hooks->event(hooks->ctx, "note", "{\"text\":\"something left\"}", e);
        const struct stopping_spec *stop =
                &job->request->stop_when; /* here: after as many epochs as its patience */
        int64_t end = stop->metric ? stop->patience * steps_an_epoch(job->request, job->data) : steps;
        while (rc == 0 && s.step < steps && s.step < end) {
                enum train_want want = hooks->between_steps(hooks->ctx);
                if (want == TRAIN_STOP)
                        rc = write_checkpoint(job, hooks, &s, e);
                if (rc == 0 && want != TRAIN_GO) {
                        *ret = (struct train_outcome){
                                .end = want == TRAIN_STOP ? TRAIN_STOPPED : TRAIN_CANCELLED,
                                .step = s.step,
                                .device_bytes = 4096};
                        return 0;
                }
                if (rc == 0)
                        rc = one_step(job, hooks, &s, e);
        }
        if (rc == ERR_INVALID && s.best.step && strncmp(job->request->title, "ruin ", 5) == 0) {
                const struct err why = *e;
                rc = end_run(job, &s, ret, e);
                ret->end = TRAIN_DIVERGED;
                ret->why = why;
                return rc;
        }
        return rc ? rc : end_run(job, &s, ret, e);
}

int infer_create(
        struct dev *d, const struct strategies *known, const char *path, struct infer **ret, struct err *e)
{
        struct safetensors *st;
        (void)d;
        (void)known;
        int rc = safetensors_open(path, &st, e);
        if (rc)
                return rc;
        const char *input = safetensors_metadata(st, "input");
        if (!input) {
                safetensors_close(st);
                return err_set(e, ERR_INVALID, "%s is no model", path);
        }
        struct infer *m = calloc(1, sizeof *m);
        cJSON *classes = cJSON_Parse(safetensors_metadata(st, "classes"));
        if (!m || sscanf(input, "[%d,%d,%d]", &m->input[0], &m->input[1], &m->input[2]) != 3)
                abort();
        m->classes = cJSON_GetArraySize(classes);
        cJSON_Delete(classes);
        safetensors_close(st);
        infers++;
        *ret = m;
        return 0;
}

void infer_destroy(struct infer *m)
{
        infers -= m != NULL;
        free(m);
}

const struct recipe *infer_recipe(const struct infer *m)
{
        static const struct recipe none;
        (void)m;
        return &none;
}

const char *infer_class(const struct infer *m, int k)
{
        (void)m;
        (void)k;
        return "";
}

void infer_shape(const struct infer *m, int *c, int *h, int *w, int *num_classes)
{
        *c = m->input[0];
        *h = m->input[1];
        *w = m->input[2];
        *num_classes = m->classes;
}

int infer_part(const struct infer *m)
{
        (void)m;
        return INFER_MAX_BATCH;
}

/* The class is ten times the first pixel, its logit one more than there are images in the run. A first pixel
   of exactly 1 kills the process. */
int infer_run(struct infer *m, const float *images, int n, float *logits, struct err *e)
{
        size_t values = (size_t)m->input[0] * (size_t)m->input[1] * (size_t)m->input[2];
        const int64_t room = env_int("CNND_FAKE_ROOM", 0);
        if (room && infers > room)
                return err_set(e, ERR_DEVICE_MEMORY, "activations take more than is left");
        for (int done = 0; done < n; done += INFER_MAX_BATCH)
                sleep_ms(env_int("CNND_FAKE_INFER_MS", 0));
        for (int i = 0; i < n; i++) {
                float first = images[(size_t)i * values];
                if (first == 1.0f)
                        abort();
                for (int k = 0; k < m->classes; k++)
                        logits[i * m->classes + k] =
                                (float)k == truncf(first * 10.0f + 0.5f) ? (float)(n + 1) : 0.0f;
        }
        return 0;
}

/* By the pixel in the window's corner. */
int infer_windows(struct infer *m, const struct infer_field *from, const int32_t *places, int n,
        float *logits, struct err *e)
{
        const size_t values = (size_t)m->input[0] * (size_t)m->input[1] * (size_t)m->input[2];
        float *images = calloc((size_t)n * values, sizeof *images);
        if (!images)
                return err_set(e, ERR_NO_MEMORY, "no memory for windows");
        for (int i = 0; i < n; i++)
                memcpy(&images[(size_t)i * values], from->field->bytes + (size_t)places[i] * sizeof *images,
                        sizeof *images);
        int rc = infer_run(m, images, n, logits, e);
        free(images);
        return rc;
}

int infer_filters(struct infer *m, const char *layer, struct infer_maps *ret, struct err *e)
{
        (void)m;
        (void)ret;
        return err_set(e, ERR_INVALID, "the fake engine has no layer %s", layer);
}

int infer_activations(
        struct infer *m, const float *image, const char *layer, struct infer_maps *ret, struct err *e)
{
        (void)image;
        return infer_filters(m, layer, ret, e);
}
