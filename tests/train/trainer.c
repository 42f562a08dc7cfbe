#include "trainer.h"
#include "opened.h"

#include "base/json.h"
#include "model/safetensors.h"
#include "base/philox.h"

#include <sys/stat.h>

struct watch {
        struct trainer_log *log;
        int stop_after, looks;
};

struct trainer *trainer_open(uint64_t limit)
{
        struct trainer *t = calloc(1, sizeof *t);
        const struct dev_options options = {.memory_limit = limit};
        assert_non_null(t);
        t->dev = opened(&options);
        printf("# device %s %s\n", dev_info(t->dev)->id, dev_info(t->dev)->name);
        snprintf(t->dir, sizeof t->dir, "/tmp/cnnd-train-XXXXXX");
        assert_non_null(mkdtemp(t->dir));
        return t;
}

void trainer_close(struct trainer *t)
{
        char command[128];
        dataset_close(t->data);
        dev_close(t->dev);
        snprintf(command, sizeof command, "rm -rf %s", t->dir);
        assert_int_equal(system(command), 0);
        free(t);
}

int trainer_set_up(void **state)
{
        *state = trainer_open(0);
        return 0;
}

int trainer_tear_down(void **state)
{
        trainer_close(*state);
        return 0;
}

static void draw_image(unsigned char *image, int bytes, int index, int label)
{
        for (int k = 0; k < bytes; k++) {
                uint32_t words[4];
                philox(3, PHILOX_AUGMENT, (uint32_t)index, (uint64_t)k, words);
                image[k] = (unsigned char)(words[0] % 128 + (k % 10 == label ? 127 : 0));
        }
}

void trainer_data(struct trainer *t, int c, int side, int classes, int train, int val, bool skewed)
{
        static char names[10][2] = {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"};
        char *list[10], path[128];
        int bytes = c * side * side, count = train + val;
        unsigned char *images = malloc((size_t)count * (size_t)bytes);
        int32_t *labels = malloc((size_t)count * sizeof *labels);
        struct err e = {0};
        assert_true(images && labels && classes <= 10);
        for (int i = 0; i < 10; i++)
                list[i] = names[i];
        for (int i = 0; i < count; i++) {
                labels[i] = skewed ? (i % (classes + 2) < 3 ? 0 : i % (classes + 2) - 2) : i % classes;
                draw_image(images + (size_t)i * (size_t)bytes, bytes, i, labels[i]);
        }
        struct dataset d = {.name = "noise",
                .source = "a test",
                .c = c,
                .h = side,
                .w = side,
                .type = DATASET_U8,
                .num_classes = classes,
                .classes = list};
        d.split[DATASET_TRAIN].count = train;
        d.split[DATASET_TRAIN].images = images;
        d.split[DATASET_TRAIN].labels = labels;
        d.split[DATASET_VAL].count = val;
        d.split[DATASET_VAL].images = images + (size_t)train * (size_t)bytes;
        d.split[DATASET_VAL].labels = labels + train;
        snprintf(path, sizeof path, "%s/noise.cnnd", t->dir);
        dataset_close(t->data);
        CHECK_OK(dataset_write(&d, path, &e), &e);
        CHECK_OK(dataset_open(path, &t->data, &e), &e);
        free(images);
        free(labels);
}

void trainer_parse(const char *job, struct train_request *ret)
{
        struct err e = {0};
        cJSON *json = json_parse(job, strlen(job), &e);
        if (!json)
                fail_msg("%s: %s", job, e.message);
        CHECK_OK(train_request_parse(json, ret, &e), &e);
        cJSON_Delete(json);
}

static int on_event(void *ctx, const char *event, const char *data, struct err *e)
{
        struct trainer_log *log = ((struct watch *)ctx)->log;
        cJSON *json = json_parse(data, strlen(data), e);
        assert_non_null(json);
        if (strcmp(event, "train") == 0) {
                int step = (int)json_field(json, "step")->valuedouble;
                assert_true(step > 0 && step < 64);
                log->steps = step;
                log->losses[step] = json_field(json, "loss")->valuedouble;
                cJSON_Delete(cJSON_DetachItemFromObjectCaseSensitive(json, "images_per_second"));
                char *text = json_text(json);
                snprintf(log->events[step], sizeof log->events[step], "%s", text);
                free(text);
        }
        if (strcmp(event, "note") == 0)
                snprintf(log->note, sizeof log->note, "%s", json_field(json, "text")->valuestring);
        if (strcmp(event, "validation") == 0 && json_field(json, "loss"))
                log->val_loss = json_field(json, "loss")->valuedouble;
        cJSON_Delete(json);
        return 0;
}

static enum train_want on_between(void *ctx)
{
        struct watch *w = ctx;
        return w->stop_after && w->looks++ >= w->stop_after ? TRAIN_STOP : TRAIN_GO;
}

int trainer_try(struct trainer *t, const char *job, const char *name, int stop_after, struct trainer_log *log,
        struct err *e)
{
        char dir[128], from[256];
        struct train_request request;
        struct watch watch = {log, stop_after, 0};
        struct train_hooks hooks = {.ctx = &watch, .event = on_event, .between_steps = on_between};
        trainer_parse(job, &request);
        snprintf(dir, sizeof dir, "%s/%s", t->dir, name);
        mkdir(dir, 0777);
        snprintf(from, sizeof from, "%s/%s/model.safetensors", t->dir, request.init.from);
        struct train_job run = {.request = &request,
                .data = t->data,
                .dir = dir,
                .init_weights = request.init.from[0] ? from : NULL,
                .tuning = t->tuning,
                .checkpoint_seconds = 1e9};
        int rc = train_run(t->dev, &run, &hooks, &log->outcome, e);
        train_request_finish(&request);
        return rc;
}

void trainer_run(
        struct trainer *t, const char *job, const char *name, int stop_after, struct trainer_log *log)
{
        struct err e = {0};
        int rc = trainer_try(t, job, name, stop_after, log, &e);
        if (rc)
                fail_msg("%s: %d %s (%s) %s", job, rc, e.message, e.pointer, e.log);
}

float *trainer_weights(const struct trainer *t, const char *name, size_t *ret_count)
{
        char path[160];
        struct safetensors *file;
        struct err e = {0};
        size_t count = 0;
        float *block = NULL;
        snprintf(path, sizeof path, "%s/%s/model.safetensors", t->dir, name);
        CHECK_OK(safetensors_open(path, &file, &e), &e);
        for (int i = 0; i < file->count; i++) {
                const struct safetensors_tensor *one = &file->tensors[i];
                if (one->type != SAFETENSORS_F32)
                        continue;
                block = realloc(block, count * sizeof *block + one->bytes);
                assert_non_null(block);
                memcpy(block + count, one->data, one->bytes);
                count += one->bytes / sizeof *block;
        }
        safetensors_close(file);
        assert_true(count > 0);
        *ret_count = count;
        return block;
}
