/* A job that is stopped, or that dies without a word, and goes on gives the same model as one left alone. */
#include "rerun.h"

#include "model/safetensors.h"

#include <unistd.h>

static void stops_and_deaths_leave_no_trace(void **state)
{
        const struct rerun *f = *state;
        struct err e = {0};
        struct train_outcome out;
        static struct rerun_watch whole = {.stop_after = RERUN_NO_STOP}, parts = {0};
        CHECK_OK(rerun_run(f, "whole", &whole, &out, &e), &e);
        assert_int_equal(out.end, TRAIN_DONE);
        assert_int_equal(out.step, 15);
        assert_int_equal(whole.train_events, 15);
        assert_int_equal(whole.checkpoints, 3);
        assert_true(whole.last_loss < 2.0);

        /* Stopped with a checkpoint after each 4 steps, in mid-epoch. */
        parts.stop_after = 4;
        do {
                parts.steps = 0;
                CHECK_OK(rerun_run(f, "stopped", &parts, &out, &e), &e);
        } while (out.end == TRAIN_STOPPED);
        rerun_compare(f, "whole", "stopped");
        for (int i = 1; i <= 15; i++)
                assert_string_equal(parts.events[i], whole.events[i]);

        /* Dead at step 8 without a word: goes on from the checkpoint of step 5. */
        memset(&parts, 0, sizeof parts);
        parts.stop_after = 8;
        parts.die = true;
        assert_int_equal(rerun_run(f, "dead", &parts, &out, &e), ERR_CLOSED);
        parts.die = false;
        parts.stop_after = RERUN_NO_STOP;
        CHECK_OK(rerun_run(f, "dead", &parts, &out, &e), &e);
        rerun_compare(f, "whole", "dead");
        for (int i = 1; i <= 15; i++)
                assert_string_equal(parts.events[i], whole.events[i]);
}

static void planned_bytes_are_the_allocated_ones(void **state)
{
        const struct rerun *f = *state;
        struct err e = {0};
        struct train_estimate estimate;
        struct train_outcome out;
        static struct rerun_watch w = {.stop_after = RERUN_NO_STOP};
        CHECK_OK(train_plan(&f->request, f->data, dev_info(f->dev), &estimate, &e), &e);
        CHECK_OK(rerun_run(f, "planned", &w, &out, &e), &e);
        assert_int_equal(out.device_bytes, estimate.device_bytes);
        assert_int_equal(dev_bytes(f->dev), 0);
        assert_int_equal(estimate.model_bytes, rerun_model_bytes(f, "planned"));

        /* A device with too little room: refused with the numbers and a batch that fits. */
        struct dev_info small = *dev_info(f->dev);
        small.global_bytes = estimate.device_bytes / 2;
        struct train_request asked = f->request; /* borrows */
        asked.micro_batch = 64;
        assert_int_equal(train_plan(&asked, f->data, &small, &estimate, &e), ERR_DEVICE_MEMORY);
        assert_non_null(strstr(e.message, "the largest batch that fits is "));
        assert_string_equal(e.pointer, "/micro_batch");
}

static void check_trace(const struct rerun *f, const char *fields, int index)
{
        struct rerun g = rerun_with(f, fields);
        struct err e = {0};
        struct train_estimate estimate;
        struct train_outcome out;
        struct rerun_watch whole = {.stop_after = RERUN_NO_STOP}, parts = {.stop_after = 4};
        char names[3][20];
        snprintf(names[0], sizeof names[0], "whole-%d", index);
        snprintf(names[1], sizeof names[1], "stopped-%d", index);
        snprintf(names[2], sizeof names[2], "dead-%d", index);
        CHECK_OK(rerun_run(&g, names[0], &whole, &out, &e), &e);
        int64_t steps = out.step;
        bool early = out.stopped_early;
        assert_int_equal(whole.train_events, steps);
        CHECK_OK(train_plan(&g.request, g.data, dev_info(g.dev), &estimate, &e), &e);
        assert_int_equal(out.device_bytes, estimate.device_bytes);
        do {
                parts.steps = 0;
                CHECK_OK(rerun_run(&g, names[1], &parts, &out, &e), &e);
        } while (out.end == TRAIN_STOPPED);
        assert_true(out.step == steps && out.stopped_early == early);
        rerun_compare(&g, names[0], names[1]);
        for (int64_t i = 1; i <= steps; i++)
                assert_string_equal(parts.events[i], whole.events[i]);
        memset(&parts, 0, sizeof parts);
        parts.stop_after = 8;
        parts.die = true;
        assert_int_equal(rerun_run(&g, names[2], &parts, &out, &e), ERR_CLOSED);
        parts.die = false;
        parts.stop_after = RERUN_NO_STOP;
        CHECK_OK(rerun_run(&g, names[2], &parts, &out, &e), &e);
        rerun_compare(&g, names[0], names[2]);
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
        struct rerun g = rerun_with(*state, "\"optimizer\":{\"name\":\"adam\"}");
        struct err e = {0};
        struct train_outcome out;
        struct rerun_watch w = {.stop_after = 4};
        CHECK_OK(rerun_run(&g, "changed", &w, &out, &e), &e);
        assert_int_equal(out.end, TRAIN_STOPPED);
        train_request_finish(&g.request);
        w = (struct rerun_watch){.stop_after = RERUN_NO_STOP};
        CHECK_OK(rerun_run(*state, "changed", &w, &out, &e), &e);
        assert_int_equal(w.train_events, 15);
        rerun_compare(*state, "whole", "changed");
}

/* Nothing improves by a million: the first epoch is the best one. */
static void early_stopping_resumes(void **state)
{
        static const char fields[] =
                "\"optimizer\":{\"lr\":0.1},"
                "\"stop_when\":{\"metric\":\"val_loss\",\"patience\":1,\"min_delta\":1e6}";
        struct rerun g = rerun_with(*state, fields);
        struct err e = {0};
        struct train_outcome out;
        struct rerun_watch w = {.stop_after = RERUN_NO_STOP};
        CHECK_OK(rerun_run(&g, "early", &w, &out, &e), &e);
        assert_true(out.end == TRAIN_DONE && out.stopped_early && out.step == 10 && out.epoch == 2);
        assert_int_equal(w.train_events, 10);
        /* Killed between its last checkpoint and its end: no further step. */
        w = (struct rerun_watch){.stop_after = RERUN_NO_STOP};
        CHECK_OK(rerun_run(&g, "early", &w, &out, &e), &e);
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
                struct rerun g = rerun_with(*state, fields[i]);
                struct err e = {0};
                struct train_outcome out;
                struct rerun_watch w = {.stop_after = 2};
                char name[20], path[160];
                struct safetensors *kept;
                snprintf(name, sizeof name, "exploded-%d", i);
                g.request.optimizer.lr = 0.1;
                CHECK_OK(rerun_run(&g, name, &w, &out, &e), &e); /* a good checkpoint of step 2 */
                g.request.optimizer.lr = 3e38;
                w.stop_after = RERUN_NO_STOP;
                assert_int_equal(rerun_run(&g, name, &w, &out, &e), ERR_INVALID);
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
        struct rerun g = rerun_with(*state, "\"max_steps\":1");
        struct err e = {0};
        struct train_outcome out;
        struct rerun_watch w = {.stop_after = RERUN_NO_STOP};
        char path[160];
        g.request.optimizer.lr = 3e38;
        assert_int_equal(rerun_run(&g, "ruined", &w, &out, &e), ERR_INVALID);
        snprintf(path, sizeof path, "%s/ruined/checkpoint.safetensors", g.dir);
        assert_int_equal(access(path, F_OK), -1);
        train_request_finish(&g.request);
}

/* Not at the end of a step of many parts, nor of a validation: both may take minutes. */
static void a_cancel_does_not_wait(void **state)
{
        enum { AN_EPOCH = 5 };
        struct rerun g = rerun_with(*state, "\"micro_batch\":16");
        struct err e = {0};
        struct train_outcome out;
        struct rerun_watch w = {.stop_after = RERUN_NO_STOP, .cancel_at = 2};
        CHECK_OK(rerun_run(&g, "cancelled", &w, &out, &e), &e);
        assert_true(out.end == TRAIN_CANCELLED && out.step == 0 && w.train_events == 0);
        train_request_finish(&g.request);
        w = (struct rerun_watch){.stop_after = RERUN_NO_STOP, .cancel_at = AN_EPOCH + 1};
        CHECK_OK(rerun_run(*state, "cancelled", &w, &out, &e), &e);
        assert_true(out.end == TRAIN_CANCELLED && out.step == AN_EPOCH && w.train_events == AN_EPOCH);
        assert_true(w.checkpoints == 0 && !w.epochs[1][0]);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(stops_and_deaths_leave_no_trace),
                cmocka_unit_test(planned_bytes_are_the_allocated_ones),
                cmocka_unit_test(every_optimizer_resumes),
                cmocka_unit_test(a_checkpoint_of_another_optimizer_starts_again),
                cmocka_unit_test(early_stopping_resumes),
                cmocka_unit_test(a_loss_that_explodes_fails_with_its_step),
                cmocka_unit_test(ruined_weights_are_not_kept),
                cmocka_unit_test(a_cancel_does_not_wait),
        };
        return cmocka_run_group_tests_name("resume", tests, rerun_set_up, rerun_tear_down);
}
