/* A job that is stopped, or that dies without a word, and goes on gives the same model as one left alone. */
#include "check.h"

#include "base/json.h"
#include "device/dev.h"
#include "base/philox.h"
#include "train/train.h"

#include <sys/stat.h>
#include <unistd.h>

enum { TRAIN_IMAGES = 300, VAL_IMAGES = 70, SIDE = 28, NO_STOP = -1 };

struct fixture {
        char dir[64];
        struct dev *dev;
        struct dataset *data;
        struct train_request request;
};

/* What a run told, and where it is to end. */
struct watch {
        int stop_after; /* steps; NO_STOP */
        bool die;       /* end by an error, as a lost worker would, instead of a stop */
        int steps, checkpoints, train_events;
        double last_loss;
        char events[64][400];
};

static const char job_text[] = "{\"type\":\"train\",\"architecture\":\"bn-lenet\",\"dataset\":\"noise\","
                               "\"epochs\":3,\"batch_size\":64,"
                               "\"optimizer\":{\"name\":\"sgd\",\"lr\":0.5},\"seed\":7,\"report_every\":1}";

static int on_event(void *ctx, const char *event, const char *data, struct err *e)
{
        struct watch *w = ctx;
        cJSON *json = json_parse(data, strlen(data), e);
        assert_non_null(json);
        if (strcmp(event, "checkpoint") == 0)
                w->checkpoints++;
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
        struct watch *w = ctx;
        if (!w->die && w->stop_after != NO_STOP && w->steps >= w->stop_after)
                return TRAIN_STOP;
        w->steps++;
        return TRAIN_GO;
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

static int set_up(void **state)
{
        struct fixture *f = calloc(1, sizeof *f);
        struct err e = {0};
        char path[128];
        const char *spec = getenv("CNND_DEVICE");
        assert_non_null(f);
        if (dev_open(spec ? spec : "all", NULL, &f->dev, &e) != 0) {
                print_message("%s\n", e.message);
                if (getenv("CNND_REQUIRE_DEVICE"))
                        return -1;
                exit(77);
        }
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

static int tear_down(void **state)
{
        struct fixture *f = *state;
        char command[128];
        train_request_finish(&f->request);
        dataset_close(f->data);
        dev_close(f->dev);
        snprintf(command, sizeof command, "rm -rf %s", f->dir);
        assert_int_equal(system(command), 0);
        free(f);
        return 0;
}

static int run(
        const struct fixture *f, const char *name, struct watch *w, struct train_outcome *ret, struct err *e)
{
        char dir[128];
        snprintf(dir, sizeof dir, "%s/%s", f->dir, name);
        mkdir(dir, 0777);
        struct train_job job = {
                .request = &f->request, .data = f->data, .dir = dir, .checkpoint_seconds = 1e9};
        struct train_hooks hooks = {.ctx = w, .event = on_event, .between_steps = on_between};
        return train_run(f->dev, &job, &hooks, ret, e);
}

static char *model_bytes(const struct fixture *f, const char *name, size_t *ret_len)
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

static void compare(const struct fixture *f, const char *name)
{
        size_t want_len, got_len;
        char *want = model_bytes(f, "whole", &want_len), *got = model_bytes(f, name, &got_len);
        assert_true(want_len > 100000 && want_len == got_len);
        assert_memory_equal(got, want, want_len);
        free(want);
        free(got);
}

static void stops_and_deaths_leave_no_trace(void **state)
{
        const struct fixture *f = *state;
        struct err e = {0};
        struct train_outcome out;
        static struct watch whole = {.stop_after = NO_STOP}, parts = {0};
        CHECK_OK(run(f, "whole", &whole, &out, &e), &e);
        assert_int_equal(out.end, TRAIN_DONE);
        assert_int_equal(out.step, 15);
        assert_int_equal(whole.train_events, 15);
        assert_int_equal(whole.checkpoints, 3);
        assert_true(whole.last_loss < 2.0);

        /* Stopped with a checkpoint after each 4 steps, in mid-epoch. */
        parts.stop_after = 4;
        do {
                parts.steps = 0;
                CHECK_OK(run(f, "stopped", &parts, &out, &e), &e);
        } while (out.end == TRAIN_STOPPED);
        compare(f, "stopped");
        for (int i = 1; i <= 15; i++)
                assert_string_equal(parts.events[i], whole.events[i]);

        /* Dead at step 8 without a word: goes on from the checkpoint of step 5. */
        memset(&parts, 0, sizeof parts);
        parts.stop_after = 8;
        parts.die = true;
        assert_int_equal(run(f, "dead", &parts, &out, &e), ERR_CLOSED);
        parts.die = false;
        parts.stop_after = NO_STOP;
        CHECK_OK(run(f, "dead", &parts, &out, &e), &e);
        compare(f, "dead");
        for (int i = 1; i <= 15; i++)
                assert_string_equal(parts.events[i], whole.events[i]);
}

static void a_damaged_checkpoint_starts_again(void **state)
{
        const struct fixture *f = *state;
        struct err e = {0};
        struct train_outcome out;
        static struct watch w = {.stop_after = NO_STOP};
        char path[160];
        snprintf(path, sizeof path, "%s/dead/checkpoint.safetensors", f->dir);
        assert_int_equal(truncate(path, 1000), 0);
        CHECK_OK(run(f, "dead", &w, &out, &e), &e);
        assert_int_equal(w.train_events, 15);
        compare(f, "dead");
}

static void planned_bytes_are_the_allocated_ones(void **state)
{
        const struct fixture *f = *state;
        struct err e = {0};
        struct train_estimate estimate;
        struct train_outcome out;
        static struct watch w = {.stop_after = NO_STOP};
        CHECK_OK(train_plan(&f->request, f->data, dev_info(f->dev), &estimate, &e), &e);
        CHECK_OK(run(f, "planned", &w, &out, &e), &e);
        assert_int_equal(out.device_bytes, estimate.device_bytes);
        assert_int_equal(dev_bytes(f->dev), 0);

        /* A device with too little room: refused with the numbers and a batch that fits. */
        struct dev_info small = *dev_info(f->dev);
        small.global_bytes = estimate.device_bytes / 2;
        struct train_request asked = f->request; /* borrows */
        asked.micro_batch = 64;
        assert_int_equal(train_plan(&asked, f->data, &small, &estimate, &e), ERR_DEVICE_MEMORY);
        assert_non_null(strstr(e.message, "the largest batch that fits is "));
        assert_string_equal(e.pointer, "/micro_batch");
}

static void a_loss_that_explodes_fails_with_its_step(void **state)
{
        struct fixture *f = *state;
        struct err e = {0};
        struct train_outcome out;
        static struct watch w = {.stop_after = NO_STOP};
        double lr = f->request.optimizer.lr;
        f->request.optimizer.lr = 3e38;
        int rc = run(f, "exploded", &w, &out, &e);
        f->request.optimizer.lr = lr;
        assert_int_equal(rc, ERR_INVALID);
        assert_non_null(strstr(e.message, "at step "));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(stops_and_deaths_leave_no_trace),
                cmocka_unit_test(a_damaged_checkpoint_starts_again),
                cmocka_unit_test(planned_bytes_are_the_allocated_ones),
                cmocka_unit_test(a_loss_that_explodes_fails_with_its_step),
        };
        return cmocka_run_group_tests_name("resume", tests, set_up, tear_down);
}
