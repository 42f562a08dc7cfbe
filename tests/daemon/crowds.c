/* Classifications that go to a device together, and what one may do to the others. */
#include "front.h"

#include "base/clock.h"
#include "base/json.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

enum { CROWD = 8, POISON = 255 };

/* An image of which the fake engine tells class `grey` / 25.5, or dies. */
static int post(struct service *s, const char *model, int grey, const struct classify_caller *caller)
{
        char body[32];
        struct err e;
        int n = snprintf(body, sizeof body, "P5 2 2 255\n%c%c%c%c", grey, grey, grey, grey);
        return classify_start(s->classify, model, body, (size_t)n, NULL, 1, caller, &e);
}

static void wait_all(struct service *s, const struct front_answer *a, int n)
{
        int64_t end = clock_now_ms() + FRONT_LONG_MS;
        for (int done = 0; done < n;) {
                assert_true(clock_now_ms() < end);
                front_turn(s);
                done = 0;
                for (int i = 0; i < n; i++)
                        done += a[i].done;
        }
}

/* The class that was answered, or the error. */
static int outcome(struct front_answer *a)
{
        int ret = a->error.code;
        if (a->result) {
                const cJSON *image = cJSON_GetArrayItem(json_field(a->result, "results"), 0);
                const cJSON *best = cJSON_GetArrayItem(json_field(image, "predictions"), 0);
                ret = json_field(best, "index")->valueint;
        }
        cJSON_Delete(a->result);
        a->result = NULL;
        return ret;
}

static void make_model(struct service *s, const char *name)
{
        char job[400];
        snprintf(job, sizeof job, FRONT_JOB("it", "\"epochs\":1,\"save_as\":\"%s\""), name);
        front_wait_state(s, front_submit(s, job), JOB_SUCCEEDED);
}

/* Image i of a crowd is of class i. */
static int grey_of(int i)
{
        return (i * 255 + 5) / 10;
}

static void post_crowd(struct service *s, const char *model, struct front_answer *a)
{
        memset(a, 0, CROWD * sizeof *a);
        for (int i = 0; i < CROWD; i++) {
                const struct classify_caller caller = {.ctx = &a[i], .done = front_classified};
                assert_int_equal(post(s, model, grey_of(i), &caller), 0);
        }
}

static void they_go_together_and_each_gets_its_own(void **state)
{
        front_batch.window_us = 10000000;
        struct service *s = front_start(*state);
        struct front_answer a[CROWD];
        make_model(s, "it");
        post_crowd(s, "it", a);
        wait_all(s, a, CROWD);
        for (int i = 0; i < CROWD; i++)
                assert_int_equal(outcome(&a[i]), i);
        assert_int_equal(classify_images(s->classify), CROWD);
        assert_int_equal(classify_batches(s->classify), 1);
        front_batch.window_us = 500;
        service_destroy(s);
}

static void a_batch_is_no_larger_than_told(void **state)
{
        struct front_answer a[CROWD];
        front_batch.max_images = 3;
        front_batch.window_us = 10000000;
        struct service *s = front_start(*state);
        make_model(s, "it");
        post_crowd(s, "it", a);
        wait_all(s, a, CROWD);
        for (int i = 0; i < CROWD; i++)
                assert_int_equal(outcome(&a[i]), i);
        assert_int_equal(classify_batches(s->classify), (CROWD + 2) / 3);
        front_batch.max_images = 64;
        front_batch.window_us = 500;
        service_destroy(s);
}

static int count_done(const struct front_answer *a)
{
        int done = 0;
        for (int i = 0; i < CROWD; i++)
                done += a[i].done;
        return done;
}

/* While the device has one; the rest, which others might still join, waits for it. */
static void one_full_batch_goes_ahead(void **state)
{
        struct front_answer a[CROWD];
        front_batch.max_images = 3;
        front_batch.window_us = 10000000;
        struct service *s = front_start(*state);
        make_model(s, "it");
        assert_int_equal(kill(front_worker(s, 0), SIGSTOP), 0); /* it answers when it is let */
        post_crowd(s, "it", a);
        while (classify_batches(s->classify) < 2)
                front_turn(s);
        for (int64_t begun = clock_now_ms(); clock_now_ms() - begun < 100;)
                front_turn(s);
        assert_int_equal(count_done(a), 0);
        assert_int_equal(classify_batches(s->classify), 2);
        assert_int_equal(kill(front_worker(s, 0), SIGCONT), 0);
        wait_all(s, a, CROWD);
        for (int i = 0; i < CROWD; i++)
                assert_int_equal(outcome(&a[i]), i);
        front_batch.max_images = 64;
        front_batch.window_us = 500;
        service_destroy(s);
}

/* However long the window, who is alone does not wait, but for a moment after a crowd. */
static void nobody_waits_for_those_who_do_not_come(void **state)
{
        struct front_answer a[CROWD], lone;
        front_batch.window_us = 600000000;
        struct service *s = front_start(*state);
        make_model(s, "it");
        assert_int_equal(front_classify(s, "P5 2 2 255\n\0\0\0\0", 15, &lone), 0);
        cJSON_Delete(lone.result);
        post_crowd(s, "it", a);
        wait_all(s, a, CROWD);
        for (int i = 0; i < CROWD; i++)
                assert_int_equal(outcome(&a[i]), i);
        int64_t begun = clock_now_ms();
        assert_int_equal(front_classify(s, "P5 2 2 255\n\0\0\0\0", 15, &lone), 0);
        cJSON_Delete(lone.result);
        assert_true(clock_now_ms() - begun < 300000);
        assert_int_equal(classify_batches(s->classify), 3);
        front_batch.window_us = 500;
        service_destroy(s);
}

static void a_broken_image_is_its_senders_alone(void **state)
{
        struct service *s = front_start(*state);
        struct front_answer a[CROWD + 1] = {0};
        const struct classify_caller caller = {.ctx = &a[CROWD], .done = front_classified};
        struct err e;
        make_model(s, "it");
        assert_int_equal(classify_start(s->classify, "it", "hello", 5, NULL, 1, &caller, &e), 0);
        post_crowd(s, "it", a);
        wait_all(s, a, CROWD + 1);
        for (int i = 0; i < CROWD; i++)
                assert_int_equal(outcome(&a[i]), i);
        assert_int_equal(outcome(&a[CROWD]), ERR_MEDIA);
        service_destroy(s);
}

static void one_that_kills_the_worker_dies_alone(void **state)
{
        struct service *s = front_start(*state);
        struct front_answer a[CROWD + 1] = {0};
        const struct classify_caller caller = {.ctx = &a[CROWD], .done = front_classified};
        make_model(s, "it");
        post_crowd(s, "it", a);
        assert_int_equal(post(s, "it", POISON, &caller), 0);
        wait_all(s, a, CROWD + 1);
        for (int i = 0; i < CROWD; i++)
                assert_int_equal(outcome(&a[i]), i);
        assert_int_equal(outcome(&a[CROWD]), ERR_UNAVAILABLE);
        service_destroy(s);
}

/* The process id of this process's decoder, 0 for none. */
static pid_t decoder_pid(void)
{
        char path[64], line[256];
        int pid, found = 0;
        snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
        FILE *children = fopen(path, "r");
        assert_non_null(children);
        while (!found && fscanf(children, "%d", &pid) == 1) {
                snprintf(path, sizeof path, "/proc/%d/cmdline", pid);
                FILE *f = fopen(path, "r");
                size_t n = f ? fread(line, 1, sizeof line - 1, f) : 0;
                if (f)
                        fclose(f);
                if (memmem(line, n, "decoder", 7))
                        found = pid;
        }
        fclose(children);
        return found;
}

static void a_dead_decoder_costs_nobody_an_answer(void **state)
{
        struct service *s = front_start(*state);
        struct front_answer a[CROWD];
        int64_t end = clock_now_ms() + FRONT_LONG_MS;
        pid_t pid;
        make_model(s, "it");
        while ((pid = decoder_pid()) == 0) {
                assert_true(clock_now_ms() < end);
                front_turn(s);
        }
        assert_int_equal(kill(pid, SIGSTOP), 0);
        post_crowd(s, "it", a);
        service_run(s); /* they are with the decoder */
        assert_int_equal(kill(pid, SIGKILL), 0);
        wait_all(s, a, CROWD);
        for (int i = 0; i < CROWD; i++)
                assert_int_equal(outcome(&a[i]), i);
        assert_true(decoder_pid() != pid);
        service_destroy(s);
}

static void a_deleted_model_is_missed_by_its_own_alone(void **state)
{
        struct service *s = front_start(*state);
        struct front_answer a[2 * CROWD];
        struct err e;
        make_model(s, "it");
        make_model(s, "other");
        post_crowd(s, "it", a);
        post_crowd(s, "other", a + CROWD);
        service_run(s); /* they are with the decoder */
        CHECK_OK(models_delete(s->models, "it", &e), &e);
        wait_all(s, a, 2 * CROWD);
        for (int i = 0; i < CROWD; i++) {
                assert_int_equal(outcome(&a[i]), ERR_NOT_FOUND);
                assert_int_equal(outcome(&a[CROWD + i]), i);
        }
        service_destroy(s);
}

/* Those that leave while the device has the batch are answered as well; those that left before are not in
   it. */
static void some_of_them_leave(void **state)
{
        struct service *s = front_start(*state);
        struct front_visitor v[CROWD] = {0};
        int64_t end = clock_now_ms() + FRONT_LONG_MS;
        make_model(s, "it");
        for (int i = 0; i < CROWD; i++) {
                const struct classify_caller caller = front_caller(&front_anna, &v[i]);
                assert_int_equal(post(s, "it", grey_of(i), &caller), 0);
        }
        for (int i = 0; i < CROWD; i += 2)
                v[i].left = true;
        for (int i = 0; i < CROWD; i++) {
                while (!v[i].answer.done) {
                        assert_true(clock_now_ms() < end);
                        front_turn(s);
                }
                assert_int_equal(outcome(&v[i].answer), i % 2 ? i : ERR_CANCELLED);
        }
        assert_int_equal(classify_images(s->classify), CROWD / 2);
        service_destroy(s);
}

/* A client that asks again as soon as it is answered. */
struct regular {
        struct service *service;
        int answers;
};

static void ask(struct regular *r);

static void asked(void *ctx, struct str *body, const struct err *e)
{
        struct regular *r = ctx;
        (void)body;
        assert_null(e);
        r->answers++;
        ask(r);
}

static void ask(struct regular *r)
{
        const struct classify_caller caller = {.ctx = r, .done = asked};
        assert_int_equal(post(r->service, "it", 0, &caller), 0);
}

static void a_job_goes_on_beside_clients_who_never_rest(void **state)
{
        setenv("CNND_FAKE_INFER_MS", "5", 1);
        struct service *s = front_start(*state);
        struct regular r[CROWD];
        int64_t end = clock_now_ms() + FRONT_LONG_MS;
        make_model(s, "it");
        int64_t job = front_submit(s, FRONT_JOB("long", "\"epochs\":1000"));
        front_wait_step(s, job, 5);
        for (int i = 0; i < CROWD; i++) {
                int64_t begun = clock_now_ms();
                r[i] = (struct regular){.service = s};
                ask(&r[i]);
                while (clock_now_ms() - begun < 3) /* so that they are not all in one batch */
                        front_turn(s);
        }
        int64_t first = front_step(s, job);
        for (int base = r[0].answers; r[0].answers < base + 40;) {
                assert_true(clock_now_ms() < end);
                front_turn(s);
        }
        assert_true(front_step(s, job) >= first + 20);
        unsetenv("CNND_FAKE_INFER_MS");
        service_destroy(s);
}

/* How many images the worker ran together with this one. */
static int company(const struct front_answer *a)
{
        const cJSON *image = cJSON_GetArrayItem(json_field(a->result, "results"), 0);
        return json_field(cJSON_GetArrayItem(json_field(image, "predictions"), 0), "logit")->valueint - 1;
}

/* Whether they came during two steps at most, of so many milliseconds each. */
static bool comes_during_a_step(char *state, const char *step_ms)
{
        setenv("CNND_FAKE_STEP_MS", step_ms, 1);
        struct service *s = front_start(state);
        struct front_answer a[CROWD] = {0};
        int most = 0;
        int64_t job = front_submit(s, FRONT_JOB("long", "\"epochs\":1000"));
        front_wait_step(s, job, 1);
        for (int i = 0; i < CROWD; i++) {
                const struct classify_caller caller = {.ctx = &a[i], .done = front_classified};
                int64_t begun = clock_now_ms();
                assert_int_equal(post(s, "it", grey_of(i), &caller), 0);
                while (clock_now_ms() - begun < 5)
                        front_turn(s);
        }
        wait_all(s, a, CROWD);
        for (int i = 0; i < CROWD; i++) {
                most = company(&a[i]) > most ? company(&a[i]) : most;
                assert_int_equal(outcome(&a[i]), i);
        }
        const bool one_by_one = classify_batches(s->classify) > CROWD / 2;
        unsetenv("CNND_FAKE_STEP_MS");
        service_destroy(s);
        return one_by_one && most >= CROWD / 2; /* a step ends among them at most once */
}

/* Where the machine is too slow for that, longer steps are tried. */
static void what_comes_during_a_step_is_answered_in_one_run(void **state)
{
        static const char *const ms[] = {"300", "900", "900", "900"};
        bool found = false;
        struct service *s = front_start(*state);
        make_model(s, "it");
        service_destroy(s);
        for (size_t i = 0; i < sizeof ms / sizeof *ms && !found; i++)
                found = comes_during_a_step(*state, ms[i]);
        assert_true(found);
}

FRONT_MAIN(FRONT_TEST(they_go_together_and_each_gets_its_own), FRONT_TEST(a_batch_is_no_larger_than_told),
        FRONT_TEST(one_full_batch_goes_ahead), FRONT_TEST(nobody_waits_for_those_who_do_not_come),
        FRONT_TEST(a_broken_image_is_its_senders_alone), FRONT_TEST(one_that_kills_the_worker_dies_alone),
        FRONT_TEST(a_dead_decoder_costs_nobody_an_answer),
        FRONT_TEST(a_deleted_model_is_missed_by_its_own_alone), FRONT_TEST(some_of_them_leave),
        FRONT_TEST(a_job_goes_on_beside_clients_who_never_rest),
        FRONT_TEST(what_comes_during_a_step_is_answered_in_one_run))
