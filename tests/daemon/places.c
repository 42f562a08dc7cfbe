/* Where models go when their jobs have ended: to another file system, or nowhere while something is in the
   way. */
#include "front.h"

#include "base/clock.h"
#include "base/json.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SAVED FRONT_JOB("it", "\"epochs\":2,\"save_as\":\"it\"")

#define ELSEWHERE "/dev/shm/cnnd-test-XXXXXX"

/* models/ as a link to a folder of another file system. */
static void move_models(const char *state, char there[sizeof ELSEWHERE])
{
        char path[200];
        struct stat a, b;
        memcpy(there, ELSEWHERE, sizeof ELSEWHERE);
        if (!mkdtemp(there) || stat(there, &a) != 0 || stat(state, &b) != 0 || a.st_dev == b.st_dev) {
                print_message("skipped: /dev/shm is no other file system than the temporary folder's\n");
                rmdir(there);
                skip();
        }
        snprintf(path, sizeof path, "%s/models", state);
        rmdir(path);
        assert_int_equal(symlink(there, path), 0);
}

static void models_may_lie_on_another_file_system(void **state)
{
        char there[sizeof ELSEWHERE];
        struct err e;
        move_models(*state, there);
        struct service *s = front_start(*state);
        int64_t id = front_submit(s, FRONT_JOB("it", "\"epochs\":20,\"save_as\":\"it\""));
        front_wait_state(s, id, JOB_SUCCEEDED);
        front_check_undisturbed(s, *state, id, 400);
        front_wait_state(s, front_submit(s, SAVED), JOB_SUCCEEDED); /* in the place of the first */
        static const char *const uses[] = {FRONT_JOB("tuned", "\"epochs\":1,\"init\":{\"from\":\"it\"}"),
                "{\"type\":\"classify\",\"model\":\"it\",\"dataset\":\"tiny\"}"};
        for (int i = 0; i < 2; i++)
                front_wait_state(s, front_submit(s, uses[i]), JOB_SUCCEEDED);
        CHECK_OK(models_delete(s->models, "it", &e), &e);
        CHECK_OK(models_delete(s->models, "calm", &e), &e);
        service_destroy(s);
        assert_int_equal(rmdir(there), 0); /* nothing else was left in it */
}

/* A job that starts from such a model keeps its weights there, under a second name: nothing is copied. */
static void weights_of_another_file_system_are_not_copied(void **state)
{
        char there[sizeof ELSEWHERE], path[200], copy[200], stray[200];
        struct stat st;
        struct err e;
        move_models(*state, there);
        struct service *s = front_start(*state);
        front_wait_state(s, front_submit(s, SAVED), JOB_SUCCEEDED);
        int64_t id = front_submit(s, FRONT_JOB("tuned", "\"epochs\":1,\"init\":{\"from\":\"it\"}"));
        CHECK_OK(jobs_pause(s->jobs, id, &e), &e);
        front_wait_state(s, id, JOB_PAUSED);
        snprintf(path, sizeof path, "%s/.job-%lld.safetensors", there, (long long)id);
        snprintf(copy, sizeof copy, "%s/jobs/%lld/init.safetensors", (char *)*state, (long long)id);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_nlink, 2);
        assert_int_equal(access(copy, F_OK), -1);
        CHECK_OK(models_delete(s->models, "it", &e), &e);
        service_destroy(s);
        /* As a front leaves it that was killed before it stored the job. */
        snprintf(stray, sizeof stray, "%s/.job-4711.safetensors", there);
        assert_int_equal(link(path, stray), 0);
        s = front_start(*state);
        CHECK_OK(jobs_resume(s->jobs, id, &e), &e);
        front_wait_state(s, id, JOB_SUCCEEDED);
        while (jobs_sweeping(s->jobs))
                front_turn(s);
        service_destroy(s);
        assert_int_equal(rmdir(there), 0);
}

/* While they are not there it waits. */
static void weights_that_are_not_mounted_are_waited_for(void **state)
{
        char there[sizeof ELSEWHERE], away[sizeof ELSEWHERE + 5];
        struct err e;
        move_models(*state, there);
        struct service *s = front_start(*state);
        front_wait_state(s, front_submit(s, SAVED), JOB_SUCCEEDED);
        int64_t id = front_submit(s, "{\"type\":\"classify\",\"model\":\"it\",\"dataset\":\"tiny\"}");
        CHECK_OK(jobs_pause(s->jobs, id, &e), &e);
        front_wait_state(s, id, JOB_PAUSED);
        snprintf(away, sizeof away, "%s.away", there);
        assert_int_equal(rename(there, away), 0);
        CHECK_OK(jobs_resume(s->jobs, id, &e), &e);
        front_wait_state(s, front_submit(s, FRONT_JOB("other", "\"epochs\":1")), JOB_SUCCEEDED);
        assert_int_equal(front_state(s, id), JOB_QUEUED);
        cJSON *job = front_job(s, id);
        assert_non_null(strstr(json_field(json_field(job, "queue"), "reason")->valuestring, "weights"));
        cJSON_Delete(job);
        assert_int_equal(rename(away, there), 0);
        front_wait_state(s, id, JOB_SUCCEEDED);
        CHECK_OK(models_delete(s->models, "it", &e), &e);
        service_destroy(s);
        assert_int_equal(rmdir(there), 0);
}

/* A process's role, "" before it is its own program, and once it has ended. */
static void role_of(pid_t pid, char role[64])
{
        char path[64], text[256] = "";
        snprintf(path, sizeof path, "/proc/%d/cmdline", (int)pid);
        FILE *f = fopen(path, "r");
        size_t n = f ? fread(text, 1, sizeof text - 1, f) : 0;
        const char *word = memmem(text, n, "--role", sizeof "--role");
        snprintf(role, 64, "%s", word ? word + sizeof "--role" : "");
        if (f)
                fclose(f);
}

/* The child of this process that copies, 0 for none. */
static pid_t copying(void)
{
        char path[64], pids[4096] = "", role[64], *rest = pids;
        snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
        FILE *f = fopen(path, "r");
        assert_non_null(f);
        pids[fread(pids, 1, sizeof pids - 1, f)] = '\0';
        fclose(f);
        for (pid_t pid; (pid = (pid_t)strtol(rest, &rest, 10)) > 0;) {
                role[0] = '\0';
                for (int tries = 0; tries < 1000 && !role[0]; tries++)
                        role_of(pid, role);
                if (strcmp(role, "carry") == 0)
                        return pid;
        }
        return 0;
}

/* Submits a job and turns until its model is being copied; the copying is stopped. A job whose copying ended
   before it was seen is followed by another. */
static int64_t submit_copied(struct service *s, pid_t *ret)
{
        int64_t id = front_submit(s, SAVED), end = clock_now_ms() + FRONT_LONG_MS;
        while ((*ret = copying()) == 0) {
                assert_true(clock_now_ms() < end);
                front_turn(s);
                if (front_state(s, id) == JOB_SUCCEEDED)
                        id = front_submit(s, SAVED);
        }
        assert_int_equal(kill(*ret, SIGSTOP), 0);
        return id;
}

/* While a model is copied, however long that takes, everybody else is served. */
static void nobody_waits_for_a_copy(void **state)
{
        char there[sizeof ELSEWHERE];
        struct err e;
        pid_t pid;
        move_models(*state, there);
        struct service *s = front_start(*state);
        int64_t id = submit_copied(s, &pid);
        for (int turns = 0; turns < 20; turns++)
                front_turn(s);
        assert_int_equal(front_state(s, id), JOB_RUNNING);
        kill(pid, SIGCONT);
        front_wait_state(s, id, JOB_SUCCEEDED);
        id = submit_copied(s, &pid); /* one that is killed begins anew */
        kill(pid, SIGKILL);
        front_wait_state(s, id, JOB_SUCCEEDED);
        id = submit_copied(s, &pid);
        CHECK_OK(jobs_cancel(s->jobs, id, &e), &e);
        front_wait_state(s, id, JOB_CANCELLED);
        front_wait_state(s, front_submit(s, SAVED), JOB_SUCCEEDED);
        id = submit_copied(s, &pid);
        service_destroy(s);
        s = front_start(*state); /* it was running, and goes on */
        front_wait_state(s, id, JOB_SUCCEEDED);
        CHECK_OK(models_delete(s->models, "it", &e), &e);
        service_destroy(s);
        assert_int_equal(rmdir(there), 0);
}

/* A file stands where the folder of models stood. */
static void block(const char *state, bool blocked)
{
        char models[200], away[200];
        snprintf(models, sizeof models, "%s/models", state);
        snprintf(away, sizeof away, "%s/models.away", state);
        if (!blocked) {
                assert_int_equal(unlink(models), 0);
                assert_int_equal(rename(away, models), 0);
                return;
        }
        assert_int_equal(rename(models, away), 0);
        int fd = open(models, O_WRONLY | O_CREAT, 0600);
        assert_true(fd >= 0);
        close(fd);
}

/* Turns for `ms` once the weights of a job that runs are there. */
static void turn_behind_end(struct service *s, const char *state, int64_t id, int64_t ms)
{
        char weights[200];
        int64_t end = clock_now_ms() + FRONT_LONG_MS;
        snprintf(weights, sizeof weights, "%s/jobs/%lld/model.safetensors", state, (long long)id);
        while (access(weights, F_OK) != 0) {
                assert_true(clock_now_ms() < end);
                front_turn(s);
        }
        for (end = clock_now_ms() + ms; clock_now_ms() < end;)
                front_turn(s);
}

/* Submits a job whose model finds no place. */
static int64_t submit_blocked(struct service *s, const char *state, int64_t ms)
{
        int64_t id = front_submit(s, SAVED);
        block(state, true);
        turn_behind_end(s, state, id, ms);
        return id;
}

static void a_model_waits_for_its_place(void **state)
{
        struct service *s = front_start(*state);
        int64_t id = submit_blocked(s, *state, 1500);
        assert_int_equal(front_state(s, id), JOB_RUNNING);
        block(*state, false);
        front_wait_state(s, id, JOB_SUCCEEDED);
        service_destroy(s);
}

static void a_cancel_ends_the_waiting(void **state)
{
        struct service *s = front_start(*state);
        struct err e;
        int64_t id = submit_blocked(s, *state, 500);
        CHECK_OK(jobs_cancel(s->jobs, id, &e), &e);
        front_wait_state(s, id, JOB_CANCELLED);
        block(*state, false);
        front_wait_state(s, front_submit(s, SAVED), JOB_SUCCEEDED);
        service_destroy(s);
}

static void a_model_without_a_place_fails_its_job(void **state)
{
        setenv("CNND_TEST_PLACE_MS", "1500", 1);
        struct service *s = front_start(*state);
        unsetenv("CNND_TEST_PLACE_MS");
        int64_t id = submit_blocked(s, *state, 0), begun = clock_now_ms();
        front_wait_state(s, id, JOB_FAILED);
        assert_true(clock_now_ms() - begun > 500);
        cJSON *job = front_job(s, id);
        const char *error = json_field(job, "error")->valuestring;
        assert_non_null(strstr(error, "its model could not be stored"));
        assert_null(strchr(error, '/'));
        cJSON_Delete(job);
        block(*state, false);
        front_wait_state(s, front_submit(s, SAVED), JOB_SUCCEEDED);
        service_destroy(s);
}

static void a_model_waits_for_its_file_system(void **state)
{
        struct service *s = front_start(*state);
        int64_t id = front_submit(s, SAVED);
        front_unmount(*state, "models", false);
        turn_behind_end(s, *state, id, 500);
        assert_int_equal(front_state(s, id), JOB_RUNNING);
        front_mount(*state, "models");
        front_wait_state(s, id, JOB_SUCCEEDED);
        service_destroy(s);
}

FRONT_MAIN(FRONT_TEST(models_may_lie_on_another_file_system),
        FRONT_TEST(weights_of_another_file_system_are_not_copied),
        FRONT_TEST(weights_that_are_not_mounted_are_waited_for), FRONT_TEST(nobody_waits_for_a_copy),
        FRONT_TEST(a_model_waits_for_its_place), FRONT_TEST(a_cancel_ends_the_waiting),
        FRONT_TEST(a_model_without_a_place_fails_its_job), FRONT_TEST(a_model_waits_for_its_file_system))
