/* A job that is stopped, or that dies without a word, and goes on gives the same model as one left alone. */
#include "check.h"

#include "base/json.h"
#include "device/dev.h"
#include "model/safetensors.h"
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
        char events[64][400], note[800];
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
        if (strcmp(event, "note") == 0)
                snprintf(w->note, sizeof w->note, "%s", json_field(json, "text")->valuestring);
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

static void compare_with(const struct fixture *f, const char *whole, const char *name)
{
        size_t want_len, got_len;
        char *want = model_bytes(f, whole, &want_len), *got = model_bytes(f, name, &got_len);
        assert_true(want_len > 100000 && want_len == got_len);
        assert_memory_equal(got, want, want_len);
        free(want);
        free(got);
}

static void compare(const struct fixture *f, const char *name)
{
        compare_with(f, "whole", name);
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

static void path_of(const struct fixture *f, const char *name, bool before, char out[200])
{
        snprintf(out, 200, "%s/%s/checkpoint%s.safetensors", f->dir, name, before ? ".before" : "");
}

/* Turns one bit at this part of the file; 1 is its end. */
static void turn_bit(const char *path, double part)
{
        FILE *file = fopen(path, "r+b");
        assert_non_null(file);
        fseek(file, 0, SEEK_END);
        const long at = (long)((double)(ftell(file) - 1) * part);
        fseek(file, at, SEEK_SET);
        const int byte = fgetc(file);
        fseek(file, at, SEEK_SET);
        fputc(byte ^ 4, file);
        assert_int_equal(fclose(file), 0);
}

/* A job that died at step 13: its last checkpoint is of step 10, the one before of step 5. */
static void die_late(const struct fixture *f, const char *name)
{
        struct err e = {0};
        struct train_outcome out;
        struct watch w = {.stop_after = 13, .die = true};
        char path[200];
        for (int before = 0; before < 2; before++) {
                path_of(f, name, before, path);
                unlink(path);
        }
        assert_int_equal(run(f, name, &w, &out, &e), ERR_CLOSED);
        assert_string_equal(w.note, "");
}

static void goes_on(const struct fixture *f, const char *name, int steps, const char *note)
{
        struct err e = {0};
        struct train_outcome out;
        struct watch w = {.stop_after = NO_STOP};
        CHECK_OK(run(f, name, &w, &out, &e), &e);
        assert_int_equal(w.train_events, steps);
        if (strncmp(w.note, note, strlen(note)) != 0 || !w.note[0] != !note[0])
                fail_msg("\"%s\" is no \"%s\"", w.note, note);
        compare(f, name);
}

/* Wherever it is damaged, in its weights too, the job goes on from the one before and says so. */
static void a_damaged_checkpoint_gives_way_to_the_one_before(void **state)
{
        const struct fixture *f = *state;
        static const double parts[] = {0, 0.004, 0.1, 0.5, 0.9, 1};
        char path[200];
        for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
                die_late(f, "damaged");
                path_of(f, "damaged", false, path);
                turn_bit(path, parts[i]);
                goes_on(f, "damaged", 10, "the last checkpoint is damaged (");
        }
        die_late(f, "damaged");
        assert_int_equal(truncate(path, 1000), 0);
        goes_on(f, "damaged", 10, "the last checkpoint is damaged (");
        die_late(f, "damaged");
        assert_int_equal(unlink(path), 0);
        goes_on(f, "damaged", 10,
                "the last checkpoint is gone: the job goes on from the one before it, of step 5");
}

/* What is damaged never becomes the one before: the next damage finds the good one still. */
static void damage_twice_is_survived(void **state)
{
        const struct fixture *f = *state;
        struct err e = {0};
        struct train_outcome out;
        struct watch w = {.stop_after = 7, .die = true};
        char path[200];
        die_late(f, "twice");
        path_of(f, "twice", false, path);
        turn_bit(path, 0.5);
        assert_int_equal(run(f, "twice", &w, &out, &e), ERR_CLOSED); /* before it writes another */
        assert_non_null(strstr(w.note, "of step 5"));
        w.stop_after = 12;
        assert_int_equal(run(f, "twice", &w, &out, &e), ERR_CLOSED);
        turn_bit(path, 0.5);
        goes_on(f, "twice", 10, "the last checkpoint is damaged (");
}

static void without_a_good_checkpoint_it_begins_again(void **state)
{
        const struct fixture *f = *state;
        char path[200];
        die_late(f, "both");
        for (int before = 0; before < 2; before++) {
                path_of(f, "both", before, path);
                turn_bit(path, 0.5);
        }
        goes_on(f, "both", 15,
                "the last checkpoint is damaged (its sum is not that of its numbers), the one before it is "
                "damaged (its sum is not that of its numbers): the job begins again");
        die_late(f, "both");
        for (int before = 0; before < 2; before++) {
                path_of(f, "both", before, path);
                assert_int_equal(unlink(path), 0);
        }
        goes_on(f, "both", 15, ""); /* nobody has told this run of one */
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

/* A job of 15 steps in 3 epochs with these fields too. */
static struct fixture with(const struct fixture *f, const char *fields)
{
        struct fixture g = *f;
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

static void check_trace(const struct fixture *f, const char *fields, int index)
{
        struct fixture g = with(f, fields);
        struct err e = {0};
        struct train_estimate estimate;
        struct train_outcome out;
        struct watch whole = {.stop_after = NO_STOP}, parts = {.stop_after = 4};
        char names[3][20];
        snprintf(names[0], sizeof names[0], "whole-%d", index);
        snprintf(names[1], sizeof names[1], "stopped-%d", index);
        snprintf(names[2], sizeof names[2], "dead-%d", index);
        CHECK_OK(run(&g, names[0], &whole, &out, &e), &e);
        int64_t steps = out.step;
        bool early = out.stopped_early;
        assert_int_equal(whole.train_events, steps);
        CHECK_OK(train_plan(&g.request, g.data, dev_info(g.dev), &estimate, &e), &e);
        assert_int_equal(out.device_bytes, estimate.device_bytes);
        do {
                parts.steps = 0;
                CHECK_OK(run(&g, names[1], &parts, &out, &e), &e);
        } while (out.end == TRAIN_STOPPED);
        assert_true(out.step == steps && out.stopped_early == early);
        compare_with(&g, names[0], names[1]);
        for (int64_t i = 1; i <= steps; i++)
                assert_string_equal(parts.events[i], whole.events[i]);
        memset(&parts, 0, sizeof parts);
        parts.stop_after = 8;
        parts.die = true;
        assert_int_equal(run(&g, names[2], &parts, &out, &e), ERR_CLOSED);
        parts.die = false;
        parts.stop_after = NO_STOP;
        CHECK_OK(run(&g, names[2], &parts, &out, &e), &e);
        compare_with(&g, names[0], names[2]);
        for (int64_t i = 1; i <= steps; i++)
                assert_string_equal(parts.events[i], whole.events[i]);
        train_request_finish(&g.request);
}

static void every_optimizer_resumes(void **state)
{
        static const char *const fields[] = {
                "\"optimizer\":{\"name\":\"sgd\",\"momentum\":0.9,\"nesterov\":true,\"schedule\":\"cosine\"}",
                "\"optimizer\":{\"name\":\"sgd\",\"momentum\":0.9,\"dampening\":0.5,\"weight_decay\":0.01}",
                "\"optimizer\":{\"name\":\"adagrad\",\"lr_decay\":0.1,\"initial_accumulator_value\":0.1}",
                "\"optimizer\":{\"name\":\"adam\",\"gradient_clip\":0.5,"
                "\"schedule\":{\"name\":\"constant\",\"warmup_epochs\":1.5}}",
                "\"optimizer\":{\"name\":\"adamw\",\"schedule\":{\"name\":\"step\",\"step_epochs\":1}}",
                "\"optimizer\":{\"name\":\"yogi\"},\"init\":{\"name\":\"normal\",\"std\":0.1}",
                "\"optimizer\":{\"lr\":0.1,\"gradient_clip\":0.1},\"init\":\"kaiming_uniform\"",
        };
        for (int i = 0; i < (int)(sizeof fields / sizeof fields[0]); i++)
                check_trace(*state, fields[i], i);
}

/* Another optimizer's checkpoint is none. */
static void a_checkpoint_of_another_optimizer_starts_again(void **state)
{
        struct fixture g = with(*state, "\"optimizer\":{\"name\":\"adam\"}");
        struct err e = {0};
        struct train_outcome out;
        struct watch w = {.stop_after = 4};
        CHECK_OK(run(&g, "changed", &w, &out, &e), &e);
        assert_int_equal(out.end, TRAIN_STOPPED);
        train_request_finish(&g.request);
        w = (struct watch){.stop_after = NO_STOP};
        CHECK_OK(run(*state, "changed", &w, &out, &e), &e);
        assert_int_equal(w.train_events, 15);
        compare(*state, "changed");
}

/* Nothing improves by a million: the first epoch is the best one. */
static void early_stopping_resumes(void **state)
{
        static const char fields[] =
                "\"optimizer\":{\"lr\":0.1},"
                "\"stop_when\":{\"metric\":\"val_loss\",\"patience\":1,\"min_delta\":1e6}";
        struct fixture g = with(*state, fields);
        struct err e = {0};
        struct train_outcome out;
        struct watch w = {.stop_after = NO_STOP};
        CHECK_OK(run(&g, "early", &w, &out, &e), &e);
        assert_true(out.end == TRAIN_DONE && out.stopped_early && out.step == 10 && out.epoch == 2);
        assert_int_equal(w.train_events, 10);
        /* Killed between its last checkpoint and its end: no further step. */
        w = (struct watch){.stop_after = NO_STOP};
        CHECK_OK(run(&g, "early", &w, &out, &e), &e);
        assert_true(out.stopped_early && out.step == 10 && w.train_events == 0);
        train_request_finish(&g.request);
        check_trace(*state, fields, 100);
}

static void a_loss_that_explodes_fails_with_its_step(void **state)
{
        static const char *const fields[] = {"\"optimizer\":{\"lr\":1e6}",
                "\"optimizer\":{\"lr\":1e6,\"momentum\":0.9}",
                "\"optimizer\":{\"name\":\"adam\",\"lr\":1e6,\"weight_decay\":1000}"};
        for (int i = 0; i < 3; i++) {
                struct fixture g = with(*state, fields[i]);
                struct err e = {0};
                struct train_outcome out;
                struct watch w = {.stop_after = 2};
                char name[20], path[160];
                struct safetensors *kept;
                snprintf(name, sizeof name, "exploded-%d", i);
                g.request.optimizer.lr = 0.1;
                CHECK_OK(run(&g, name, &w, &out, &e), &e); /* a good checkpoint of step 2 */
                g.request.optimizer.lr = 3e38;
                w.stop_after = NO_STOP;
                assert_int_equal(run(&g, name, &w, &out, &e), ERR_INVALID);
                assert_non_null(strstr(e.message, "step 4"));
                assert_non_null(strstr(e.message, "gradient_clip"));
                snprintf(path, sizeof path, "%s/%s/checkpoint.safetensors", g.dir, name);
                CHECK_OK(safetensors_open(path, &kept, &e), &e);
                assert_string_equal(safetensors_metadata(kept, "step"), "2");
                safetensors_close(kept);
                train_request_finish(&g.request);
        }
}

/* The loss of the last step is of the weights before it: that they are ruined shows in the weights alone. */
static void ruined_weights_are_not_kept(void **state)
{
        struct fixture g = with(*state, "\"max_steps\":1");
        struct err e = {0};
        struct train_outcome out;
        struct watch w = {.stop_after = NO_STOP};
        char path[160];
        g.request.optimizer.lr = 3e38;
        assert_int_equal(run(&g, "ruined", &w, &out, &e), ERR_INVALID);
        snprintf(path, sizeof path, "%s/ruined/checkpoint.safetensors", g.dir);
        assert_int_equal(access(path, F_OK), -1);
        train_request_finish(&g.request);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(stops_and_deaths_leave_no_trace),
                cmocka_unit_test(a_damaged_checkpoint_gives_way_to_the_one_before),
                cmocka_unit_test(damage_twice_is_survived),
                cmocka_unit_test(without_a_good_checkpoint_it_begins_again),
                cmocka_unit_test(planned_bytes_are_the_allocated_ones),
                cmocka_unit_test(every_optimizer_resumes),
                cmocka_unit_test(a_checkpoint_of_another_optimizer_starts_again),
                cmocka_unit_test(early_stopping_resumes),
                cmocka_unit_test(a_loss_that_explodes_fails_with_its_step),
                cmocka_unit_test(ruined_weights_are_not_kept),
        };
        return cmocka_run_group_tests_name("resume", tests, set_up, tear_down);
}
