#include "rerun.h"
#include "opened.h"

#include "base/json.h"
#include "base/philox.h"

#include <sys/stat.h>

enum { TRAIN_IMAGES = 300, VAL_IMAGES = 70, SIDE = 28 };

static const char job_text[] = "{\"type\":\"train\",\"architecture\":\"bn-lenet\",\"dataset\":\"noise\","
                               "\"epochs\":3,\"batch_size\":64,"
                               "\"optimizer\":{\"name\":\"sgd\",\"lr\":0.5},\"seed\":7,\"report_every\":1}";

static int on_event(void *ctx, const char *event, const char *data, struct err *e)
{
        struct rerun_watch *w = ctx;
        cJSON *json = json_parse(data, strlen(data), e);
        assert_non_null(json);
        if (strcmp(event, "checkpoint") == 0)
                w->checkpoints++;
        if (strcmp(event, "note") == 0)
                snprintf(w->note, sizeof w->note, "%s", json_field(json, "text")->valuestring);
        if (strcmp(event, "validation") == 0)
                snprintf(w->epochs[(int)json_field(json, "epoch")->valuedouble], sizeof w->epochs[0], "%s",
                        data);
        if (strcmp(event, "train") == 0) {
                int step = (int)json_field(json, "step")->valuedouble;
                w->train_events++;
                w->last_loss = json_field(json, "loss")->valuedouble;
                cJSON_Delete(cJSON_DetachItemFromObjectCaseSensitive(json, "images_per_second"));
                char *text = json_text(json);
                snprintf(w->events[step], sizeof w->events[step], "%s", text);
                free(text);
                if (w->die && step == w->stop_after) {
                        cJSON_Delete(json);
                        return err_set(e, ERR_CLOSED, "the front is gone");
                }
        }
        cJSON_Delete(json);
        return 0;
}

static enum train_want on_between(void *ctx)
{
        struct rerun_watch *w = ctx;
        if (!w->die && w->stop_after != RERUN_NO_STOP && w->steps >= w->stop_after)
                return TRAIN_STOP;
        w->steps++;
        return w->cancel_at && w->steps >= w->cancel_at ? TRAIN_CANCEL : TRAIN_GO;
}

static int make_data(const char *path, struct err *e)
{
        static char names[10][2] = {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"};
        char *classes[10];
        static unsigned char images[TRAIN_IMAGES + VAL_IMAGES][SIDE * SIDE];
        static int32_t labels[TRAIN_IMAGES + VAL_IMAGES];
        struct dataset d = {.name = "noise",
                .source = "a test",
                .c = 1,
                .h = SIDE,
                .w = SIDE,
                .type = DATASET_U8,
                .num_classes = 10,
                .classes = classes};
        for (int i = 0; i < 10; i++)
                classes[i] = names[i];
        for (int i = 0; i < TRAIN_IMAGES + VAL_IMAGES; i++) {
                labels[i] = i % 10;
                for (int k = 0; k < SIDE * SIDE; k++) {
                        uint32_t words[4];
                        philox(3, PHILOX_AUGMENT, (uint32_t)i, (uint64_t)k, words);
                        images[i][k] = (unsigned char)(words[0] % 128 + (k / 78 == labels[i] ? 127 : 0));
                }
        }
        d.split[DATASET_TRAIN].count = TRAIN_IMAGES;
        d.split[DATASET_TRAIN].images = images;
        d.split[DATASET_TRAIN].labels = labels;
        d.split[DATASET_VAL].count = VAL_IMAGES;
        d.split[DATASET_VAL].images = images[TRAIN_IMAGES];
        d.split[DATASET_VAL].labels = labels + TRAIN_IMAGES;
        return dataset_write(&d, path, e);
}

int rerun_set_up(void **state)
{
        struct rerun *f = calloc(1, sizeof *f);
        struct err e = {0};
        char path[128];
        assert_non_null(f);
        f->dev = opened(NULL);
        snprintf(f->dir, sizeof f->dir, "/tmp/cnnd-resume-XXXXXX");
        assert_non_null(mkdtemp(f->dir));
        snprintf(path, sizeof path, "%s/noise.cnnd", f->dir);
        CHECK_OK(make_data(path, &e), &e);
        CHECK_OK(dataset_open(path, &f->data, &e), &e);
        cJSON *json = json_parse(job_text, strlen(job_text), &e);
        CHECK_OK(train_request_parse(json, &f->request, &e), &e);
        cJSON_Delete(json);
        *state = f;
        return 0;
}

int rerun_tear_down(void **state)
{
        struct rerun *f = *state;
        char command[128];
        train_request_finish(&f->request);
        dataset_close(f->data);
        dev_close(f->dev);
        snprintf(command, sizeof command, "rm -rf %s", f->dir);
        assert_int_equal(system(command), 0);
        free(f);
        return 0;
}

int rerun_run(const struct rerun *f, const char *name, struct rerun_watch *w, struct train_outcome *ret,
        struct err *e)
{
        char dir[128];
        snprintf(dir, sizeof dir, "%s/%s", f->dir, name);
        mkdir(dir, 0777);
        struct train_job job = {
                .request = &f->request, .data = f->data, .dir = dir, .checkpoint_seconds = 1e9};
        struct train_hooks hooks = {.ctx = w, .event = on_event, .between_steps = on_between};
        return train_run(f->dev, &job, &hooks, ret, e);
}

static char *model_bytes(const struct rerun *f, const char *name, size_t *ret_len)
{
        char path[160];
        snprintf(path, sizeof path, "%s/%s/model.safetensors", f->dir, name);
        FILE *file = fopen(path, "rb");
        assert_non_null(file);
        char *bytes = malloc(1 << 20);
        assert_non_null(bytes);
        *ret_len = fread(bytes, 1, 1 << 20, file);
        fclose(file);
        return bytes;
}

size_t rerun_model_bytes(const struct rerun *f, const char *name)
{
        size_t len;
        free(model_bytes(f, name, &len));
        return len;
}

void rerun_compare(const struct rerun *f, const char *whole, const char *name)
{
        size_t want_len, got_len;
        char *want = model_bytes(f, whole, &want_len), *got = model_bytes(f, name, &got_len);
        assert_true(want_len > 100000 && want_len == got_len);
        assert_memory_equal(got, want, want_len);
        free(want);
        free(got);
}

struct rerun rerun_with(const struct rerun *f, const char *fields)
{
        struct rerun g = *f;
        struct err e = {0};
        char text[800];
        snprintf(text, sizeof text,
                "{\"type\":\"train\",\"architecture\":\"bn-lenet\",\"dataset\":\"noise\",\"epochs\":3,"
                "\"batch_size\":64,\"seed\":7,\"report_every\":1,%s}",
                fields);
        cJSON *json = json_parse(text, strlen(text), &e);
        CHECK_OK(json ? train_request_parse(json, &g.request, &e) : e.code, &e);
        cJSON_Delete(json);
        return g;
}
