/* A job that keeps its best epoch leaves the model that a job of exactly so many epochs leaves, wherever it
   was stopped, killed or damaged, and also where its weights are ruined in the end. */
#include "rerun.h"

#include "base/json.h"

#include <unistd.h>

enum { STEPS = 15, AN_EPOCH = 5, EPOCHS = 3 };

/* A rate that rises and ruins what was learnt: the losses rise with it, and the accuracies are chance. */
#define RISING                                                                                               \
        "\"optimizer\":{\"lr\":1000,\"schedule\":{\"name\":\"constant\",\"warmup_epochs\":3}},\"save_as\":"  \
        "\"m\""

static void run(const struct rerun *f, const char *fields, const char *name, struct rerun_watch *w,
        struct train_outcome *ret)
{
        struct rerun g = rerun_with(f, fields);
        struct err e = {0};
        int rc = rerun_run(&g, name, w, ret, &e);
        train_request_finish(&g.request);
        if (rc != (w->die ? ERR_CLOSED : 0))
                fail_msg("%s: %d %s", name, rc, e.message);
}

static double told(const char *data, const char *key)
{
        cJSON *json = json_parse(data, strlen(data), NULL);
        const double v = json_field(json, key)->valuedouble;
        cJSON_Delete(json);
        return v;
}

/* By what the events told: the first of the lowest, or of the highest. */
static int best_epoch(const struct rerun_watch *w, const char *key, double sign)
{
        int best = 1;
        for (int k = 2; k <= EPOCHS; k++)
                if (sign * told(w->epochs[k], key) > sign * told(w->epochs[best], key))
                        best = k;
        return best;
}

static void the_model_is_that_of_so_many_epochs(void **state)
{
        static const struct {
                const char *metric, *key;
                double sign;
        } cases[] = {{"val_loss", "loss", -1}, {"val_acc", "acc", 1}, {"train_loss", "train_loss", -1},
                {"train_acc", "train_acc", 1}};
        const struct rerun *f = *state;
        for (int i = 0; i < 4; i++) {
                struct train_outcome out;
                struct rerun_watch w = {.stop_after = RERUN_NO_STOP};
                char fields[300], name[20], exact[20];
                snprintf(fields, sizeof fields, RISING ",\"save_best\":\"%s\"", cases[i].metric);
                snprintf(name, sizeof name, "best-%s", cases[i].metric);
                run(f, fields, name, &w, &out);
                const int best = best_epoch(&w, cases[i].key, cases[i].sign);
                print_message("%s: epoch %d\n", cases[i].metric, best);
                assert_true(out.end == TRAIN_DONE && out.step == STEPS && out.epoch == EPOCHS);
                assert_string_equal(out.best, w.epochs[best]);
                assert_true(told(out.best, "best_epoch") == best);
                snprintf(fields, sizeof fields, RISING ",\"max_steps\":%d", best * AN_EPOCH);
                snprintf(exact, sizeof exact, "exact-%d", best);
                w = (struct rerun_watch){.stop_after = RERUN_NO_STOP};
                run(f, fields, exact, &w, &out);
                assert_string_equal(out.best, "");
                rerun_compare(f, exact, name);
                assert_true(i > 0 || best < EPOCHS); /* else the last weights would do as well */
        }
}

static void check_trace(const struct rerun *f, const char *metric)
{
        char fields[300], whole[20], dies[20];
        struct train_outcome out;
        struct rerun_watch w;
        snprintf(fields, sizeof fields, RISING ",\"save_best\":\"%s\"", metric);
        snprintf(whole, sizeof whole, "best-%s", metric);
        snprintf(dies, sizeof dies, "dies-%s", metric);
        for (int at = 1; at <= STEPS; at++) { /* at every step of one job */
                w = (struct rerun_watch){.stop_after = at, .die = true};
                run(f, fields, dies, &w, &out);
        }
        w = (struct rerun_watch){.stop_after = RERUN_NO_STOP};
        run(f, fields, dies, &w, &out);
        rerun_compare(f, whole, dies);
        for (int part = 1; part <= AN_EPOCH; part++) {
                char name[40];
                snprintf(name, sizeof name, "stops-%s-%d", metric, part);
                do {
                        w = (struct rerun_watch){.stop_after = part};
                        run(f, fields, name, &w, &out);
                } while (out.end == TRAIN_STOPPED);
                rerun_compare(f, whole, name);
        }
        /* Killed between its last checkpoint and its end. */
        w = (struct rerun_watch){.stop_after = RERUN_NO_STOP};
        run(f, fields, dies, &w, &out);
        assert_int_equal(w.train_events, 0);
        rerun_compare(f, whole, dies);
}

static void deaths_and_stops_leave_no_trace(void **state)
{
        check_trace(*state, "val_loss");
        check_trace(*state, "val_acc");
}

/* Its best epoch is the first. */
#define BEST RISING ",\"save_best\":\"val_loss\""

/* The one before it has the best weights that were the best then, too. */
static void the_checkpoint_before_has_its_own(void **state)
{
        const struct rerun *f = *state;
        for (int gone = 0; gone < 2; gone++) {
                struct train_outcome out;
                struct rerun_watch w = {.stop_after = 13, .die = true};
                char name[20], path[200];
                snprintf(name, sizeof name, "damaged-%d", gone);
                run(f, BEST, name, &w, &out);
                snprintf(path, sizeof path, "%s/%s/checkpoint.safetensors", f->dir, name);
                if (gone) {
                        assert_int_equal(unlink(path), 0);
                } else { /* in the last of the best weights */
                        FILE *file = fopen(path, "r+b");
                        assert_non_null(file);
                        fseek(file, -2, SEEK_END);
                        const int byte = fgetc(file);
                        fseek(file, -2, SEEK_END);
                        fputc(byte ^ 4, file);
                        assert_int_equal(fclose(file), 0);
                }
                w = (struct rerun_watch){.stop_after = RERUN_NO_STOP};
                run(f, BEST, name, &w, &out);
                assert_non_null(strstr(w.note, "of step 5"));
                assert_int_equal(w.train_events, 10);
                rerun_compare(f, "best-val_loss", name);
        }
}

/* Patience ends the run behind the best epoch, whose weights are kept. */
static void early_stopping_keeps_the_best(void **state)
{
        static const char fields[] = BEST ",\"stop_when\":{\"metric\":\"val_loss\",\"patience\":1}";
        const struct rerun *f = *state;
        struct train_outcome out;
        struct rerun_watch w = {.stop_after = 7, .die = true};
        run(f, fields, "early", &w, &out);
        w = (struct rerun_watch){.stop_after = RERUN_NO_STOP};
        run(f, fields, "early", &w, &out);
        assert_true(out.stopped_early && out.step == 10 && out.epoch == 2);
        assert_true(told(out.best, "best_epoch") == 1);
        rerun_compare(f, "exact-1", "early");
}

/* The end by max_steps ends an epoch that is a part; it may be the best one. */
static void a_part_of_an_epoch(void **state)
{
        static const char fields[] = "\"optimizer\":{\"lr\":0.1},\"save_as\":\"m\",\"max_steps\":7";
        const struct rerun *f = *state;
        struct train_outcome out;
        struct rerun_watch w = {.stop_after = RERUN_NO_STOP};
        char best[300];
        snprintf(best, sizeof best, "%s,\"save_best\":\"val_loss\"", fields);
        run(f, fields, "part-last", &w, &out);
        w = (struct rerun_watch){.stop_after = RERUN_NO_STOP};
        run(f, best, "part-best", &w, &out);
        assert_true(told(out.best, "best_epoch") == 1.4 && told(out.best, "step") == 7);
        rerun_compare(f, "part-last", "part-best");
}

/* Steps before the rate leaps, further than a request may ask for; looks between batches of a validation. */
enum { LEAP = 10, LOOKS = 2 };

static int run_leaping(const struct rerun *f, const char *fields, const char *name, struct rerun_watch *w,
        struct train_outcome *ret, struct err *e)
{
        char text[300];
        snprintf(text, sizeof text, "\"optimizer\":{\"lr\":0.1},\"save_as\":\"m\"%s", fields);
        struct rerun g = rerun_with(f, text);
        g.request.optimizer.schedule =
                (struct schedule_spec){.kind = SCHEDULE_STEP, .step_epochs = LEAP / AN_EPOCH, .gamma = 1e40};
        const int rc = rerun_run(&g, name, w, ret, e);
        train_request_finish(&g.request);
        return rc;
}

static void check_diverged(const struct rerun *f, const char *fields, const char *name, const char *says)
{
        struct err e = {0};
        struct train_outcome out;
        struct rerun_watch w = {.stop_after = RERUN_NO_STOP};
        char error[200];
        CHECK_OK(run_leaping(f, fields, name, &w, &out, &e), &e);
        const int best = told(w.epochs[2], "loss") < told(w.epochs[1], "loss") ? 2 : 1;
        assert_int_equal(out.end, TRAIN_DIVERGED);
        assert_string_equal(out.best, w.epochs[best]);
        assert_string_equal(w.epochs[3], "");
        snprintf(
                error, sizeof error, "%s; the model has the weights of its best epoch, %d. Try ", says, best);
        if (out.why.code != ERR_INVALID || !strstr(out.why.message, error))
                fail_msg("%s: %d %s", name, out.why.code, out.why.message);
        snprintf(error, sizeof error, ",\"max_steps\":%d", best * AN_EPOCH);
        w = (struct rerun_watch){.stop_after = RERUN_NO_STOP};
        CHECK_OK(run_leaping(f, error, "not-ruined", &w, &out, &e), &e);
        rerun_compare(f, "not-ruined", name);
}

#define LEAPING ",\"save_best\":\"val_loss\""

/* Whether that shows in a loss, in a validation's, or in weights that are to be kept. */
static void what_diverges_leaves_its_best(void **state)
{
        const struct rerun *f = *state;
        struct rerun_watch w = {.stop_after = LEAP + 2 * LOOKS + 1};
        struct train_outcome out;
        struct err e = {0};
        check_diverged(f, LEAPING, "leaps", "the loss is not a finite number at step 12");
        check_diverged(f, LEAPING ",\"max_steps\":11", "leaps-last",
                "the validation loss is not a finite number after step 11");
        rerun_compare(f, "leaps", "leaps-last");
        CHECK_OK(run_leaping(f, LEAPING, "leaps-stops", &w, &out, &e), &e);
        assert_int_equal(out.end, TRAIN_DIVERGED);
        assert_non_null(
                strstr(out.why.message, "a weight is not a finite number after step 11; the model has"));
        rerun_compare(f, "leaps", "leaps-stops");
}

static void deaths_leave_no_trace_of_what_diverges(void **state)
{
        const struct rerun *f = *state;
        struct train_outcome out;
        struct rerun_watch w;
        struct err e = {0};
        for (int at = 1; at <= LEAP + 1; at++) { /* at every step of one job that it tells of */
                w = (struct rerun_watch){.stop_after = at, .die = true};
                assert_int_equal(run_leaping(f, LEAPING, "leaps-dies", &w, &out, &e), ERR_CLOSED);
        }
        for (int i = 0; i < 2; i++) { /* once more: killed before anybody heard of its end */
                w = (struct rerun_watch){.stop_after = RERUN_NO_STOP};
                CHECK_OK(run_leaping(f, LEAPING, "leaps-dies", &w, &out, &e), &e);
                assert_int_equal(out.end, TRAIN_DIVERGED);
                assert_int_equal(w.train_events, 1);
                rerun_compare(f, "leaps", "leaps-dies");
        }
}

/* Of an epoch that never was there is nothing. */
static void what_diverges_at_once_leaves_nothing(void **state)
{
        const struct rerun *f = *state;
        struct rerun g = rerun_with(f, BEST);
        struct train_outcome out;
        struct err e = {0};
        struct rerun_watch w = {.stop_after = RERUN_NO_STOP};
        char path[200];
        g.request.optimizer.lr = 3e38;
        assert_int_equal(rerun_run(&g, "at-once", &w, &out, &e), ERR_INVALID);
        assert_non_null(strstr(e.message, "the model is not saved"));
        snprintf(path, sizeof path, "%s/at-once/model.safetensors", f->dir);
        assert_int_equal(access(path, F_OK), -1);
        train_request_finish(&g.request);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_model_is_that_of_so_many_epochs),
                cmocka_unit_test(deaths_and_stops_leave_no_trace),
                cmocka_unit_test(the_checkpoint_before_has_its_own),
                cmocka_unit_test(early_stopping_keeps_the_best),
                cmocka_unit_test(a_part_of_an_epoch),
                cmocka_unit_test(what_diverges_leaves_its_best),
                cmocka_unit_test(deaths_leave_no_trace_of_what_diverges),
                cmocka_unit_test(what_diverges_at_once_leaves_nothing),
        };
        return cmocka_run_group_tests_name("best", tests, rerun_set_up, rerun_tear_down);
}
