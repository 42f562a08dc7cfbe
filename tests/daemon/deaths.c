/* Workers and fronts that are killed, hang or end: nothing is lost, and nothing differs. */
#include "front.h"

#include "base/clock.h"
#include "base/json.h"
#include "daemon/jobs/jobrun.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t held; /* a process that the kernel does not let go: it is never seen to end; 0 for none */

/* In place of libc's. */
pid_t waitpid(pid_t pid, int *status, int options)
{
        return pid == held ? 0 : (pid_t)syscall(SYS_wait4, pid, status, options, NULL);
}

static void a_killed_worker_changes_nothing(void **state)
{
        struct service *s = front_start(*state);
        int64_t id = front_submit(s, FRONT_JOB("it", "\"epochs\":20,\"save_as\":\"it\""));
        for (int step = 50; step <= 250; step += 100) {
                front_wait_step(s, id, step);
                kill(front_worker(s, 0), SIGKILL);
        }
        front_wait_state(s, id, JOB_SUCCEEDED);
        front_check_undisturbed(s, *state, id, 400);
        service_destroy(s);
}

static void a_killed_front_changes_nothing(void **state)
{
        for (int step = 30; step <= 330; step += 100) {
                pid_t front = fork();
                if (front == 0) {
                        struct service *s = front_start(*state);
                        if (step == 30)
                                front_submit(s, FRONT_JOB("it", "\"epochs\":20,\"save_as\":\"it\""));
                        front_wait_step(s, 1, step);
                        raise(SIGKILL);
                }
                int status;
                waitpid(front, &status, 0);
                assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        }
        struct service *s = front_start(*state);
        front_wait_state(s, 1, JOB_SUCCEEDED);
        front_check_undisturbed(s, *state, 1, 400);
        service_destroy(s);
}

static void a_hanging_kernel_is_ended(void **state)
{
        char file[200];
        snprintf(file, sizeof file, "%s/hang", (char *)*state);
        fclose(fopen(file, "w"));
        setenv("CNND_TEST_HANG_FILE", file, 1);
        setenv("CNND_TEST_HANG_STEP", "25", 1);
        struct service *s = front_open(*state, 1.5);
        struct err e;
        while (service_health(s, &e))
                front_turn(s);
        int64_t id = front_submit(s, FRONT_JOB("it", "\"epochs\":20,\"save_as\":\"it\""));
        int64_t begun = clock_now_ms();
        front_wait_state(s, id, JOB_SUCCEEDED);
        assert_true(clock_now_ms() - begun > 1500);
        assert_int_equal(access(file, F_OK), -1);
        front_check_undisturbed(s, *state, id, 400);
        service_destroy(s);
}

static void three_deaths_in_a_row_quarantine_the_device(void **state)
{
        struct service *s = front_start(*state);
        int64_t id = front_submit(s, FRONT_JOB("abort 1", "\"epochs\":1")),
                next = front_submit(s, FRONT_JOB("next", "\"epochs\":1"));
        struct err e;
        front_wait_state(s, id, JOB_FAILED);
        cJSON *job = front_job(s, id);
        assert_non_null(strstr(json_field(job, "error")->valuestring, "reload or restart cnnd"));
        cJSON_Delete(job);
        assert_int_equal(supervisor_state(s->supervisor, 0), DEVICE_QUARANTINED);
        assert_int_equal(service_health(s, &e), ERR_UNAVAILABLE);
        assert_int_equal(front_state(s, next), JOB_QUEUED);
        service_destroy(s);
        s = front_start(*state);
        front_wait_state(s, next, JOB_SUCCEEDED);
        service_destroy(s);
}

/* What was wrong with it may be over: a card was reset. */
static void a_quarantined_device_is_tried_again(void **state)
{
        for (int asked = 0; asked < 2; asked++) {
                struct service *s = front_start(*state);
                int64_t id = front_submit(s, FRONT_JOB("abort 1", "\"epochs\":1")),
                        next = front_submit(s, FRONT_JOB("next", "\"epochs\":1"));
                front_wait_state(s, id, JOB_FAILED);
                assert_int_equal(supervisor_state(s->supervisor, 0), DEVICE_QUARANTINED);
                const int64_t now = clock_now_ms();
                assert_in_range(supervisor_timeout_ms(s->supervisor, now), 590000, 600000);
                supervisor_tick(s->supervisor, now + 590000);
                assert_int_equal(supervisor_state(s->supervisor, 0), DEVICE_QUARANTINED);
                if (asked)
                        supervisor_again(s->supervisor);
                supervisor_tick(s->supervisor, asked ? clock_now_ms() : now + 600000);
                assert_int_equal(supervisor_state(s->supervisor, 0), DEVICE_STARTING);
                front_wait_state(s, next, JOB_SUCCEEDED);
                service_destroy(s);
        }
}

static void deaths_with_progress_between_do_not(void **state)
{
        struct service *s = front_start(*state);
        int64_t id = front_submit(s, FRONT_JOB("it", "\"epochs\":20"));
        for (int step = 20; step <= 120; step += 20) {
                front_wait_step(s, id, step);
                kill(front_worker(s, 0), SIGKILL);
                while (front_worker(s, 0))
                        front_turn(s);
        }
        front_wait_state(s, id, JOB_SUCCEEDED);
        service_destroy(s);
}

static void another_device_takes_the_job(void **state)
{
        setenv("CNND_FAKE_DEVICES", "2", 1);
        setenv("CNND_FAKE_STEP_MS", "5", 1);
        struct service *s = front_start(*state);
        struct err e;
        int64_t a = front_submit(s, FRONT_JOB("a", "\"epochs\":100000")),
                b = front_submit(s, FRONT_JOB("b", "\"epochs\":100000"));
        front_wait_step(s, a, 10);
        front_wait_step(s, b, 10);
        assert_int_equal(supervisor_job(s->supervisor, 0) + supervisor_job(s->supervisor, 1), a + b);
        CHECK_OK(jobs_cancel(s->jobs, a, &e), &e);
        CHECK_OK(jobs_cancel(s->jobs, b, &e), &e);
        a = front_submit(s, FRONT_JOB("a", "\"epochs\":1"));
        b = front_submit(s, FRONT_JOB("b", "\"epochs\":1"));
        front_wait_state(s, a, JOB_SUCCEEDED);
        front_wait_state(s, b, JOB_SUCCEEDED);
        service_destroy(s);
}

/* The job fails, and its worker does not go on with it in secret, with the next job behind it. */
static void a_worker_that_lies_is_ended(void **state)
{
        struct service *s = front_start(*state);
        int64_t id = front_submit(s, FRONT_JOB("lie 5", "\"epochs\":100000")),
                next = front_submit(s, FRONT_JOB("it", "\"epochs\":20,\"save_as\":\"it\""));
        front_wait_state(s, id, JOB_FAILED);
        cJSON *job = front_job(s, id);
        assert_non_null(strstr(json_field(job, "error")->valuestring, "event train"));
        cJSON_Delete(job);
        front_wait_state(s, next, JOB_SUCCEEDED);
        front_check_undisturbed(s, *state, next, 400);
        service_destroy(s);
}

/* What it had in hand is done elsewhere, and the device is back as soon as it has ended. */
static void a_worker_that_does_not_end_holds_nobody_up(void **state)
{
        setenv("CNND_FAKE_DEVICES", "2", 1);
        struct service *s = front_start(*state);
        int64_t id = front_submit(s, FRONT_JOB("it", "\"epochs\":20,\"save_as\":\"it\""));
        front_wait_step(s, id, 50);
        const int first = supervisor_job(s->supervisor, 0) == id ? 0 : 1;
        held = front_worker(s, first);
        kill(held, SIGKILL);
        front_wait_state(s, id, JOB_SUCCEEDED);
        front_check_undisturbed(s, *state, id, 400);
        assert_int_equal(supervisor_state(s->supervisor, first), DEVICE_QUARANTINED);
        assert_int_equal(front_worker(s, first), held);
        cJSON *device = supervisor_device_json(s->supervisor, first);
        assert_non_null(strstr(json_field(device, "reason")->valuestring, "does not end"));
        cJSON_Delete(device);
        held = 0;
        while (supervisor_state(s->supervisor, first) != DEVICE_READY)
                front_turn(s);
        held = front_worker(s, first);
        const int64_t begun = clock_now_ms();
        service_destroy(s); /* which does not wait for ever */
        assert_true(clock_now_ms() - begun >= 5000);
        kill(held, SIGKILL);
        held = 0;
}

static void a_cancel_outlives_the_front(void **state)
{
        pid_t front = fork();
        if (front == 0) {
                struct service *s = front_start(*state);
                struct err e;
                int64_t id = front_submit(s, FRONT_JOB("it", "\"epochs\":100000"));
                front_wait_step(s, id, 10);
                if (jobs_cancel(s->jobs, id, &e))
                        _exit(1);
                raise(SIGKILL);
        }
        int status;
        waitpid(front, &status, 0);
        assert_true(WIFSIGNALED(status));
        struct service *s = front_start(*state);
        assert_int_equal(front_state(s, 1), JOB_CANCELLED);
        service_destroy(s);
}

static void draining_keeps_jobs(void **state)
{
        setenv("CNND_FAKE_STEP_MS", "20",
                1); /* so that it is far from its end, however slow this process is */
        struct service *s = front_start(*state);
        setenv("CNND_FAKE_STEP_MS", "1", 1);
        struct err e;
        int64_t id = front_submit(s, FRONT_JOB("it", "\"epochs\":20,\"save_as\":\"it\"")), none;
        bool again;
        front_wait_step(s, id, 30);
        service_drain(s);
        assert_int_equal(service_health(s, &e), ERR_UNAVAILABLE);
        cJSON *body = cJSON_CreateObject();
        assert_int_equal(jobs_submit(s->jobs, &front_anna, NULL, body, &none, &again, &e), ERR_UNAVAILABLE);
        cJSON_Delete(body);
        int64_t end = clock_now_ms() + FRONT_LONG_MS;
        while (!service_drained(s)) {
                assert_true(clock_now_ms() < end);
                front_turn(s);
        }
        assert_int_equal(front_state(s, id), JOB_QUEUED);
        service_destroy(s);
        s = front_start(*state);
        front_wait_state(s, id, JOB_SUCCEEDED);
        front_check_undisturbed(s, *state, id, 400);
        service_destroy(s);
}

static void an_image_that_kills_the_worker(void **state)
{
        struct service *s = front_start(*state);
        struct front_answer a;
        static const char poison[] = "P5 2 2 255\n\xFF\xFF\xFF\xFF", image[] = "P5 2 2 255\n\x4D\x4D\x4D\x4D";
        front_wait_state(
                s, front_submit(s, FRONT_JOB("it", "\"epochs\":2,\"save_as\":\"it\"")), JOB_SUCCEEDED);
        assert_int_equal(front_classify(s, poison, sizeof poison - 1, &a), ERR_UNAVAILABLE);
        assert_int_equal(front_classify(s, image, sizeof image - 1, &a), 0);
        cJSON_Delete(a.result);
        service_destroy(s);
}

static void workers_die_with_the_front(void **state)
{
        int fds[2];
        pid_t worker = 0;
        assert_int_equal(pipe(fds), 0);
        pid_t front = fork();
        if (front == 0) {
                struct service *s = front_start(*state);
                pid_t pid = front_worker(s, 0);
                if (write(fds[1], &pid, sizeof pid) != sizeof pid)
                        _exit(1);
                raise(SIGKILL);
        }
        waitpid(front, NULL, 0);
        assert_int_equal(read(fds[0], &worker, sizeof worker), sizeof worker);
        close(fds[0]);
        close(fds[1]);
        int64_t end = clock_now_ms() + FRONT_LONG_MS;
        char path[64], line[256] = "";
        do {
                /* Its new parent may not have reaped it yet: a zombie is dead enough. */
                snprintf(path, sizeof path, "/proc/%d/stat", (int)worker);
                FILE *f = fopen(path, "r");
                if (!f || !fgets(line, sizeof line, f))
                        line[0] = '\0';
                if (f)
                        fclose(f);
                assert_true(clock_now_ms() < end);
                usleep(1000);
        } while (line[0] && !strstr(line, ") Z") && !strstr(line, ") X"));
}

/* What a driver starts by itself does not get the channel and the lock. */
static void a_worker_keeps_its_descriptors(void **state)
{
        struct service *s = front_start(*state);
        for (int fd = CHILD_FD; fd <= CHILD_LOCK_FD; fd++) {
                char path[64], line[100];
                unsigned flags = 0;
                snprintf(path, sizeof path, "/proc/%d/fdinfo/%d", (int)front_worker(s, 0), fd);
                FILE *f = fopen(path, "r");
                assert_non_null(f);
                while (fgets(line, sizeof line, f) && sscanf(line, "flags: %o", &flags) != 1)
                        continue;
                fclose(f);
                assert_int_equal(flags & O_CLOEXEC, O_CLOEXEC);
        }
        service_destroy(s);
}

static int note_row(void *ctx, int64_t id, const char *event, const char *data)
{
        char *seen = ctx;
        (void)id;
        if (strcmp(event, "note") == 0 || strcmp(event, "end") == 0)
                snprintf(seen + strlen(seen), 400 - strlen(seen), "%s %s\n", event, data);
        return 0;
}

/* A run that starts again says its note again; it is kept once. */
static void an_early_end_and_a_note_are_told(void **state)
{
        struct service *s = front_start(*state);
        int64_t id = front_submit(s,
                FRONT_JOB("note", "\"epochs\":30,\"stop_when\":{\"metric\":\"train_loss\",\"patience\":20}"));
        struct err e;
        char seen[400] = "";
        front_wait_step(s, id, 20);
        kill(front_worker(s, 0), SIGKILL);
        while (front_worker(s, 0))
                front_turn(s);
        front_wait_state(s, id, JOB_SUCCEEDED);
        CHECK_OK(jobs_events(s->jobs, id, 0, 0, note_row, seen, &e), &e);
        assert_string_equal(seen,
                "note {\"text\":\"something left\"}\n"
                "end {\"state\":\"succeeded\",\"stopped_early\":true,\"epoch\":20,"
                "\"reason\":\"stopped early: the metric of stop_when has not improved\"}\n");
        cJSON *job = front_job(s, id);
        const cJSON *progress = json_field(job, "progress");
        assert_true(json_field(progress, "step")->valuedouble * 30 ==
                    json_field(progress, "steps")->valuedouble * 20);
        assert_true(json_field(progress, "epoch")->valuedouble == 20);
        cJSON_Delete(job);
        service_destroy(s);
}

/* The epoch that the events say was best, of the lowest loss. */
static int best_row(void *ctx, int64_t id, const char *event, const char *data)
{
        double *best = ctx; /* its loss, its number, the last one's */
        cJSON *json = json_parse(data, strlen(data), NULL);
        (void)id;
        if (strcmp(event, "validation") == 0) {
                const double loss = json_field(json, "loss")->valuedouble;
                best[2] = json_field(json, "epoch")->valuedouble;
                if (best[1] == 0 || loss < best[0]) {
                        best[0] = loss;
                        best[1] = best[2];
                }
                assert_true(json_field(json, "best_epoch")->valuedouble == best[1]);
        }
        if (strcmp(event, "end") == 0)
                assert_true(json_field(json, "best_epoch")->valuedouble == best[1]);
        cJSON_Delete(json);
        return 0;
}

static void check_best(const cJSON *metrics, const double best[2])
{
        assert_true(json_field(metrics, "val_loss")->valuedouble == best[0]);
        assert_true(json_field(metrics, "best_epoch")->valuedouble == best[1]);
}

/* The job's model is that of a job of so many epochs, and both say so. */
static void check_best_model(struct service *s, const char *state, int64_t id, const double best[2])
{
        cJSON *job = front_job(s, id), *model = NULL;
        struct err e;
        char text[400];
        CHECK_OK(models_get(s->models, "it", &model, &e), &e);
        check_best(json_field(job, "metrics"), best);
        check_best(json_field(model, "metrics"), best);
        cJSON_Delete(job);
        cJSON_Delete(model);
        snprintf(text, sizeof text, FRONT_JOB("short", "\"epochs\":%d,\"save_as\":\"short\""), (int)best[1]);
        front_wait_state(s, front_submit(s, text), JOB_SUCCEEDED);
        front_same_model(state, "short", "it");
}

/* Wherever it dies, the job saves the weights that it had after its best epoch, and says which that was. */
static void the_best_epoch_is_saved(void **state)
{
        struct service *s = front_start(*state);
        int64_t id = front_submit(
                s, FRONT_JOB("it", "\"epochs\":20,\"save_as\":\"it\",\"save_best\":\"val_loss\""));
        struct err e;
        double best[3] = {0};
        for (int step = 30; step <= 390; step += 60) {
                front_wait_step(s, id, step);
                kill(front_worker(s, 0), SIGKILL);
                while (front_worker(s, 0))
                        front_turn(s);
        }
        front_wait_state(s, id, JOB_SUCCEEDED);
        CHECK_OK(jobs_events(s->jobs, id, 0, 0, best_row, best, &e), &e);
        assert_true(best[2] == 20 && best[1] < 20);
        check_best_model(s, *state, id, best);
        service_destroy(s);
}

/* A job that fails because its weights are ruined fails with the model that it had best. */
static void what_diverges_saves_its_best(void **state)
{
        struct service *s = front_start(*state);
        int64_t id = front_submit(
                s, FRONT_JOB("ruin 375", "\"epochs\":20,\"save_as\":\"it\",\"save_best\":\"val_loss\""));
        struct err e;
        double best[3] = {0};
        char path[200];
        for (int step = 30; step <= 330; step += 60) {
                front_wait_step(s, id, step);
                kill(front_worker(s, 0), SIGKILL);
                while (front_worker(s, 0))
                        front_turn(s);
        }
        front_wait_state(s, id, JOB_FAILED);
        CHECK_OK(jobs_events(s->jobs, id, 0, 0, best_row, best, &e), &e);
        assert_true(best[2] == 18 && best[1] < 18);
        cJSON *job = front_job(s, id);
        assert_string_equal(json_field(job, "error")->valuestring,
                "the loss is NaN at step 375: try a smaller learning rate");
        assert_string_equal(json_field(job, "model")->valuestring, "it");
        cJSON_Delete(job);
        check_best_model(s, *state, id, best);
        snprintf(path, sizeof path, "%s/jobs/%lld", (char *)*state, (long long)id);
        assert_int_equal(access(path, F_OK), -1); /* the model alone has its bytes */
        service_destroy(s);
}

/* One that its user gave up in the meantime saves nothing. */
static void what_diverges_and_is_cancelled(void **state)
{
        struct service *s = front_start(*state);
        struct jobrun_outcome out;
        struct report end = {.kind = REPORT_DONE, .end = TRAIN_DIVERGED};
        struct err e;
        bool there = true;
        err_set(&end.error, ERR_INVALID, "the loss is NaN");
        int64_t id = front_submit(
                s, FRONT_JOB("rest 200", "\"epochs\":20,\"save_as\":\"it\",\"save_best\":\"val_loss\""));
        front_wait_state(s, id, JOB_RUNNING);
        CHECK_OK(jobs_cancel(s->jobs, id, &e), &e);
        CHECK_OK(jobrun_apply(s->jobs, id, 0, &end, &out, &e), &e);
        assert_int_equal(front_state(s, id), JOB_CANCELLED);
        CHECK_OK(models_exists(s->models, "it", &there, &e), &e);
        assert_false(there);
        service_destroy(s);
}

FRONT_MAIN(FRONT_TEST(a_killed_worker_changes_nothing), FRONT_TEST(a_killed_front_changes_nothing),
        FRONT_TEST(a_hanging_kernel_is_ended), FRONT_TEST(three_deaths_in_a_row_quarantine_the_device),
        FRONT_TEST(a_quarantined_device_is_tried_again), FRONT_TEST(deaths_with_progress_between_do_not),
        FRONT_TEST(another_device_takes_the_job), FRONT_TEST(a_worker_that_does_not_end_holds_nobody_up),
        FRONT_TEST(a_worker_that_lies_is_ended), FRONT_TEST(a_cancel_outlives_the_front),
        FRONT_TEST(draining_keeps_jobs), FRONT_TEST(an_image_that_kills_the_worker),
        FRONT_TEST(workers_die_with_the_front), FRONT_TEST(a_worker_keeps_its_descriptors),
        FRONT_TEST(an_early_end_and_a_note_are_told), FRONT_TEST(the_best_epoch_is_saved),
        FRONT_TEST(what_diverges_saves_its_best), FRONT_TEST(what_diverges_and_is_cancelled))
