/* What is in jobs' folders, and what is left of them. */
#include "front.h"

#include "base/clock.h"
#include "base/json.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define CLASSIFY "{\"type\":\"classify\",\"model\":\"it\",\"dataset\":\"tiny\"}"

/* The names in a job's folder, each with a blank behind it, in the order of the alphabet; "" where there is
   no folder. Good until the next call. */
static const char *inside(const char *state, int64_t id)
{
        static char text[1000];
        char path[200];
        struct dirent **list;
        snprintf(path, sizeof path, "%s/jobs/%lld", state, (long long)id);
        int n = scandir(path, &list, NULL, alphasort);
        text[0] = '\0';
        for (int i = 0; i < n; i++) {
                if (strcmp(list[i]->d_name, ".") != 0 && strcmp(list[i]->d_name, "..") != 0) {
                        size_t used = strlen(text);
                        snprintf(text + used, sizeof text - used, "%s ", list[i]->d_name);
                }
                free(list[i]);
        }
        if (n >= 0)
                free(list);
        return text;
}

static bool folder(const char *state, int64_t id)
{
        char path[200];
        snprintf(path, sizeof path, "%s/jobs/%lld", state, (long long)id);
        return access(path, F_OK) == 0;
}

/* A file as a killed process or a version before this one may have left it. */
static void leave(const char *state, int64_t id, const char *name)
{
        char path[200];
        snprintf(path, sizeof path, "%s/jobs/%lld", state, (long long)id);
        mkdir(path, 0700);
        snprintf(path, sizeof path, "%s/jobs/%lld/%s", state, (long long)id, name);
        int fd = open(path, O_WRONLY | O_CREAT, 0600);
        assert_true(fd >= 0);
        close(fd);
}

static nlink_t names_of_model(const char *state, const char *name)
{
        char path[200];
        struct stat st;
        snprintf(path, sizeof path, "%s/models/%s.safetensors", state, name);
        assert_int_equal(stat(path, &st), 0);
        return st.st_nlink;
}

/* Waits until what is left over has been looked through. */
static void sweep(struct service *s)
{
        int64_t end = clock_now_ms() + FRONT_LONG_MS;
        while (jobs_sweeping(s->jobs)) {
                assert_true(clock_now_ms() < end);
                front_turn(s);
        }
}

static void an_ended_job_keeps_what_is_served(void **state)
{
        struct service *s = front_start(*state);
        int64_t saved = front_submit(s, FRONT_JOB("it", "\"epochs\":2,\"save_as\":\"it\""));
        front_wait_state(s, saved, JOB_SUCCEEDED);
        assert_false(folder(*state, saved));
        assert_int_equal(names_of_model(*state, "it"), 1); /* to delete it makes room */
        int64_t tuned = front_submit(s, FRONT_JOB("tuned", "\"epochs\":2,\"init\":{\"from\":\"it\"}"));
        front_wait_state(s, tuned, JOB_SUCCEEDED);
        assert_false(folder(*state, tuned));
        int64_t failed = front_submit(s, FRONT_JOB("fail 45", "\"epochs\":9,\"init\":{\"from\":\"it\"}"));
        front_wait_step(s, failed, 1);
        leave(*state, failed, ".new-abcdef");
        front_wait_state(s, failed, JOB_FAILED);
        assert_false(folder(*state, failed));
        int64_t classified = front_submit(s, CLASSIFY);
        front_wait_state(s, classified, JOB_SUCCEEDED);
        assert_string_equal(inside(*state, classified), "result.json ");
        assert_int_equal(names_of_model(*state, "it"), 1);
        service_destroy(s);
}

static void what_killed_workers_leave_goes(void **state)
{
        struct service *s = front_start(*state);
        int64_t id = front_submit(s, FRONT_JOB("it", "\"epochs\":20,\"save_as\":\"it\""));
        front_wait_step(s, id, 50);
        kill(front_worker(s, 0), SIGKILL);
        leave(*state, id, ".new-abcdef");
        front_wait_state(s, id, JOB_SUCCEEDED);
        assert_false(folder(*state, id));
        front_check_undisturbed(s, *state, id, 400);
        service_destroy(s);
}

/* As jobs of versions before this one are left, and by a front that was killed right behind a commit. */
static void a_start_sweeps_what_was_left(void **state)
{
        static const char *const files[] = {".new-abcdef", "checkpoint.before.safetensors",
                "checkpoint.safetensors", "init.safetensors", "model.safetensors"};
        struct service *s = front_start(*state);
        struct err e;
        int64_t ended = front_submit(s, FRONT_JOB("it", "\"epochs\":2,\"save_as\":\"it\""));
        front_wait_state(s, ended, JOB_SUCCEEDED);
        int64_t failed = front_submit(s, FRONT_JOB("fail 5", "\"epochs\":2"));
        front_wait_state(s, failed, JOB_FAILED);
        int64_t classified = front_submit(s, CLASSIFY);
        front_wait_state(s, classified, JOB_SUCCEEDED);
        int64_t paused = front_submit(s, FRONT_JOB("paused", "\"epochs\":20"));
        CHECK_OK(jobs_pause(s->jobs, paused, &e), &e);
        front_wait_state(s, paused, JOB_PAUSED);
        service_destroy(s);
        const int64_t jobs[] = {ended, failed, classified, paused, 4711};
        for (size_t i = 0; i < sizeof jobs / sizeof jobs[0]; i++)
                for (size_t k = 0; k < sizeof files / sizeof files[0]; k++)
                        leave(*state, jobs[i], files[k]);
        s = front_start(*state);
        sweep(s);
        assert_false(folder(*state, ended));
        assert_string_equal(inside(*state, failed), "model.safetensors ");
        assert_string_equal(inside(*state, classified), "result.json ");
        assert_non_null(strstr(inside(*state, paused), "checkpoint.before.safetensors checkpoint.safetensors "
                                                       "init.safetensors model.safetensors "));
        assert_false(folder(*state, 4711));
        free(front_result(s, classified));
        service_destroy(s);
}

static void a_job_cancelled_at_a_start_leaves_nothing(void **state)
{
        pid_t front = fork();
        if (front == 0) {
                struct err e;
                struct service *s = front_start(*state);
                int64_t id = front_submit(s, FRONT_JOB("rest 20", "\"epochs\":20"));
                front_wait_step(s, id, 25);
                CHECK_OK(jobs_cancel(s->jobs, id, &e), &e);
                raise(SIGKILL); /* before the worker is told */
        }
        int status;
        waitpid(front, &status, 0);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        assert_string_equal(inside(*state, 1), "checkpoint.safetensors ");
        struct service *s = front_open(*state, 60);
        assert_int_equal(front_state(s, 1), JOB_CANCELLED);
        assert_false(folder(*state, 1));
        service_destroy(s);
}

/* It waits behind a long one while its model goes. */
static void a_classify_job_keeps_the_model_it_named(void **state)
{
        struct service *s = front_start(*state);
        struct err e;
        front_wait_state(
                s, front_submit(s, FRONT_JOB("it", "\"epochs\":2,\"save_as\":\"it\"")), JOB_SUCCEEDED);
        int64_t busy = front_submit_as(s, &front_bert, FRONT_JOB("rest 20", "\"epochs\":20"));
        front_wait_step(s, busy, 1);
        int64_t id = front_submit(s, CLASSIFY);
        assert_string_equal(inside(*state, id), "init.safetensors ");
        CHECK_OK(models_delete(s->models, "it", &e), &e);
        CHECK_OK(jobs_cancel(s->jobs, busy, &e), &e);
        front_wait_state(s, id, JOB_SUCCEEDED);
        char *text = front_result(s, id);
        assert_non_null(strstr(text, "\"model\":\"it\""));
        free(text);
        assert_string_equal(inside(*state, id), "result.json ");
        service_destroy(s);
}

/* Of a version that had no links. */
static int64_t classify_without_link(struct service *s, const char *state)
{
        struct err e;
        char path[200];
        int64_t id = front_submit(s, CLASSIFY);
        CHECK_OK(jobs_pause(s->jobs, id, &e), &e);
        snprintf(path, sizeof path, "%s/jobs/%lld/init.safetensors", state, (long long)id);
        assert_int_equal(unlink(path), 0);
        return id;
}

static void without_a_link_the_owner_is_asked_again(void **state)
{
        struct service *s = front_start(*state);
        struct err e;
        front_wait_state(
                s, front_submit(s, FRONT_JOB("it", "\"epochs\":2,\"save_as\":\"it\"")), JOB_SUCCEEDED);
        int64_t own = classify_without_link(s, *state), others = classify_without_link(s, *state);
        CHECK_OK(jobs_resume(s->jobs, own, &e), &e);
        front_wait_state(s, own, JOB_SUCCEEDED);
        CHECK_OK(models_delete(s->models, "it", &e), &e);
        int64_t id = front_submit_as(s, &front_bert, FRONT_JOB("it", "\"epochs\":2,\"save_as\":\"it\""));
        front_wait_state(s, id, JOB_SUCCEEDED);
        CHECK_OK(jobs_resume(s->jobs, others, &e), &e);
        front_wait_state(s, others, JOB_FAILED);
        cJSON *job = front_job(s, others);
        const char *error = json_field(job, "error")->valuestring;
        assert_non_null(strstr(error, "the model 'it' was deleted, or is another user's now"));
        assert_null(strchr(error, '/'));
        cJSON_Delete(job);
        assert_int_equal(supervisor_state(s->supervisor, 0), DEVICE_READY);
        front_wait_state(s, front_submit(s, FRONT_JOB("next", "\"epochs\":1")), JOB_SUCCEEDED);
        service_destroy(s);
}

/* The job has nothing to begin with. */
static void check_missed(struct service *s, int64_t id)
{
        front_wait_state(s, id, JOB_FAILED);
        cJSON *job = front_job(s, id);
        assert_non_null(
                strstr(json_field(job, "error")->valuestring, "weights that it was to start from are gone"));
        cJSON_Delete(job);
}

/* As after a restore without the jobs' folders: not trained from nothing, as if nobody had asked for a model.
 */
static void weights_that_are_gone_are_missed(void **state)
{
        struct service *s = front_start(*state);
        struct err e;
        char path[200];
        front_wait_state(
                s, front_submit(s, FRONT_JOB("it", "\"epochs\":2,\"save_as\":\"it\"")), JOB_SUCCEEDED);
        int64_t id = front_submit(s, FRONT_JOB("tuned", "\"epochs\":2,\"init\":{\"from\":\"it\"}"));
        CHECK_OK(jobs_pause(s->jobs, id, &e), &e);
        snprintf(path, sizeof path, "%s/jobs/%lld/init.safetensors", (char *)*state, (long long)id);
        assert_int_equal(unlink(path), 0);
        CHECK_OK(jobs_resume(s->jobs, id, &e), &e);
        check_missed(s, id);
        service_destroy(s);
}

/* Of a job that a database which was put back does not know. */
static void a_new_job_finds_an_empty_folder(void **state)
{
        struct service *s = front_start(*state);
        int64_t first = front_submit(s, FRONT_JOB("rest 5", "\"epochs\":20"));
        leave(*state, first + 1, "checkpoint.safetensors");
        leave(*state, first + 1, "result.json");
        int64_t id = front_submit_as(s, &front_bert, FRONT_JOB("rest 5", "\"epochs\":1"));
        assert_int_equal(id, first + 1);
        assert_string_equal(inside(*state, id), "");
        front_wait_state(s, id, JOB_SUCCEEDED);
        service_destroy(s);
}

static int64_t rows(struct service *s, const char *question, int64_t job)
{
        sqlite3_stmt *st;
        struct err e;
        CHECK_OK(store_prepare(s->store, question, &st, &e), &e);
        store_bind_int(st, 1, job);
        assert_int_equal(store_step(s->store, st, &e), 1);
        int64_t count = sqlite3_column_int64(st, 0);
        sqlite3_reset(st);
        return count;
}

/* Nor does one that had a checkpoint begin from nothing, where that is gone as well. */
static void weights_and_checkpoint_that_are_gone_are_missed(void **state)
{
        struct service *s = front_start(*state);
        struct err e;
        char path[200], away[200];
        front_wait_state(
                s, front_submit(s, FRONT_JOB("it", "\"epochs\":2,\"save_as\":\"it\"")), JOB_SUCCEEDED);
        int64_t id = front_submit(s, FRONT_JOB("tuned", "\"epochs\":1000,\"init\":{\"from\":\"it\"}"));
        front_wait_state(s, id, JOB_RUNNING);
        while (rows(s, "SELECT checkpoint_step FROM jobs WHERE id = ?", id) == 0)
                front_turn(s);
        CHECK_OK(jobs_pause(s->jobs, id, &e), &e);
        front_wait_state(s, id, JOB_PAUSED);
        snprintf(path, sizeof path, "%s/jobs/%lld", (char *)*state, (long long)id);
        snprintf(away, sizeof away, "%s/away", (char *)*state);
        assert_int_equal(rename(path, away), 0);
        CHECK_OK(jobs_resume(s->jobs, id, &e), &e);
        check_missed(s, id);
        service_destroy(s);
}

static const char events_of[] = "SELECT count(*) FROM events WHERE job = ?";

static void a_deleted_job_leaves_nothing_but_its_model(void **state)
{
        struct service *s = front_start(*state);
        struct err e;
        cJSON *job = NULL;
        bool there = false;
        int64_t trained = front_submit(s, FRONT_JOB("it", "\"epochs\":120,\"save_as\":\"it\""));
        front_wait_step(s, trained, 1);
        assert_int_equal(jobs_delete(s->jobs, trained, &e), ERR_STATE);
        front_wait_state(s, trained, JOB_SUCCEEDED);
        int64_t tuned = front_submit(s, FRONT_JOB("rest 5", "\"epochs\":2,\"init\":{\"from\":\"it\"}"));
        int64_t classified = front_submit(s, CLASSIFY);
        assert_int_equal(jobs_delete(s->jobs, tuned, &e), ERR_STATE);
        assert_int_equal(jobs_delete(s->jobs, classified, &e), ERR_STATE);
        assert_true(rows(s, events_of, trained) > 2400);
        CHECK_OK(jobs_delete(s->jobs, trained, &e), &e);
        assert_int_equal(jobs_delete(s->jobs, trained, &e), ERR_NOT_FOUND);
        assert_int_equal(jobs_get(s->jobs, trained, &job, &e), ERR_NOT_FOUND);
        sweep(s); /* more than go at once */
        assert_int_equal(rows(s, events_of, trained), 0);
        CHECK_OK(models_exists(s->models, "it", &there, &e), &e);
        assert_true(there);
        front_wait_state(s, tuned, JOB_SUCCEEDED);
        front_wait_state(s, classified, JOB_SUCCEEDED);
        CHECK_OK(jobs_delete(s->jobs, classified, &e), &e);
        assert_false(folder(*state, classified));
        assert_int_equal(rows(s, "SELECT count(*) FROM strategies WHERE job = ?", trained), 0);
        assert_true(rows(s, events_of, tuned) > 40);
        service_destroy(s);
}

/* As if the front had been killed behind the commit that deleted job 1. */
static void a_start_goes_on_deleting(void **state)
{
        struct service *s = front_start(*state);
        struct err e;
        sqlite3_stmt *st;
        int64_t gone = front_submit(s, FRONT_JOB("gone", "\"epochs\":2"));
        int64_t kept = front_submit(s, FRONT_JOB("kept", "\"epochs\":2"));
        front_wait_state(s, kept, JOB_SUCCEEDED);
        CHECK_OK(store_prepare(s->store, "DELETE FROM jobs WHERE id = 1", &st, &e), &e);
        CHECK_OK(store_run(s->store, st, &e), &e);
        service_destroy(s);
        s = front_start(*state);
        sweep(s);
        assert_int_equal(rows(s, events_of, gone), 0);
        assert_true(rows(s, events_of, kept) > 40);
        service_destroy(s);
}

FRONT_MAIN(FRONT_TEST(an_ended_job_keeps_what_is_served), FRONT_TEST(what_killed_workers_leave_goes),
        FRONT_TEST(a_start_sweeps_what_was_left), FRONT_TEST(a_job_cancelled_at_a_start_leaves_nothing),
        FRONT_TEST(a_classify_job_keeps_the_model_it_named),
        FRONT_TEST(without_a_link_the_owner_is_asked_again), FRONT_TEST(weights_that_are_gone_are_missed),
        FRONT_TEST(weights_and_checkpoint_that_are_gone_are_missed),
        FRONT_TEST(a_new_job_finds_an_empty_folder), FRONT_TEST(a_deleted_job_leaves_nothing_but_its_model),
        FRONT_TEST(a_start_goes_on_deleting))
