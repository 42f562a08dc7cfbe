/* What becomes of models and data sets whose file system is not mounted, and of what stands there once it is
   again. */
#include "front.h"

#include "base/clock.h"
#include "base/json.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SAVED FRONT_JOB("it", "\"epochs\":2,\"save_as\":\"it\"")

/* The error of the model "it", "" for none; good until the next call. */
static const char *complaint(struct service *s)
{
        static char text[300];
        struct err e;
        cJSON *model = NULL;
        CHECK_OK(models_get(s->models, "it", &model, &e), &e);
        const cJSON *error = json_field(model, "error");
        assert_int_equal(json_field(model, "job")->valueint, 1);
        assert_string_equal(json_field(model, "user")->valuestring, "anna");
        snprintf(text, sizeof text, "%s", cJSON_IsString(error) ? error->valuestring : "");
        cJSON_Delete(model);
        return text;
}

static int refusal(struct service *s, const char *job)
{
        struct err e = {0};
        int64_t id;
        bool again;
        cJSON *body = json_parse(job, strlen(job), &e);
        int rc = jobs_submit(s->jobs, &front_anna, NULL, body, &id, &again, &e);
        cJSON_Delete(body);
        return rc;
}

#define TUNED FRONT_JOB("tuned", "\"epochs\":1,\"init\":{\"from\":\"it\"}")

static void models_that_are_not_mounted_are_kept(void **state)
{
        struct service *s = front_start(*state);
        struct err e;
        int fd;
        uint64_t size;
        static const char image[] = "P5 2 2 255 abcd";
        front_wait_state(s, front_submit(s, SAVED), JOB_SUCCEEDED);
        assert_string_equal(complaint(s), "");
        service_destroy(s);
        for (int empty = 0; empty < 2; empty++) {
                front_unmount(*state, "models", empty);
                s = front_start(*state);
                assert_non_null(strstr(complaint(s), "may not be mounted"));
                assert_null(strchr(complaint(s), '/'));
                assert_int_equal(refusal(s, TUNED), ERR_UNAVAILABLE);
                assert_int_equal(models_open(s->models, "it", &fd, &size, &e), ERR_UNAVAILABLE);
                assert_int_equal(models_may_save(s->models, &front_bert, "it", &e), ERR_EXISTS);
                struct front_answer a;
                assert_int_equal(front_classify(s, image, sizeof image - 1, &a), ERR_UNAVAILABLE);
                assert_non_null(strstr(a.error.message, "may not be mounted"));
                if (!empty)
                        service_destroy(s);
                front_mount(*state, "models");
                if (!empty)
                        s = front_start(*state);
                assert_string_equal(complaint(s), ""); /* at the next start, and without one */
                front_wait_state(s, front_submit(s, TUNED), JOB_SUCCEEDED);
                service_destroy(s);
        }
        s = front_start(*state);
        front_unmount(*state, "models", true);
        CHECK_OK(models_delete(s->models, "it", &e), &e); /* who wants to be rid of it is */
        assert_int_equal(models_see(s->models, &front_anna, "it", &e), ERR_NOT_FOUND);
        service_destroy(s);
}

/* The state of the data set `name`; good until the next call. */
static const char *set_state(struct service *s, const char *name)
{
        static char text[40];
        struct err e;
        cJSON *set = NULL;
        CHECK_OK(datasets_get(s->datasets, name, &set, &e), &e);
        snprintf(text, sizeof text, "%s", json_field(set, "state")->valuestring);
        assert_int_equal(strcmp(text, "ready") == 0, cJSON_IsNull(json_field(set, "error")));
        cJSON_Delete(set);
        return text;
}

/* The data set "tiny" under another name, everybody's. */
static void copy_set(const char *state, struct service *s, const char *name)
{
        char from[200], to[200];
        struct err e;
        snprintf(from, sizeof from, "%s/datasets.away/tiny.cnnd", state);
        snprintf(to, sizeof to, "%s/datasets/%s.cnnd", state, name);
        assert_int_equal(link(from, to), 0);
        CHECK_OK(datasets_settle(state, s->store, name, "", &e), &e);
}

/* Nor are jobs that need them lost, and others go before these. */
static void data_sets_that_are_not_mounted_are_kept(void **state)
{
        struct service *s = front_start(*state);
        struct err e;
        int64_t id = front_submit(s, SAVED);
        CHECK_OK(jobs_pause(s->jobs, id, &e), &e);
        front_wait_state(s, id, JOB_PAUSED);
        service_destroy(s);
        front_unmount(*state, "datasets", true);
        s = front_start(*state);
        copy_set(*state, s, "second");
        service_destroy(s);
        s = front_start(*state);
        assert_string_equal(set_state(s, "tiny"), "missing");
        assert_int_equal(refusal(s, SAVED), ERR_UNAVAILABLE);
        CHECK_OK(jobs_resume(s->jobs, id, &e), &e);
        int64_t other = front_submit(
                s, "{\"type\":\"train\",\"architecture\":\"lenet\",\"dataset\":\"second\",\"epochs\":1}");
        front_wait_state(s, other, JOB_SUCCEEDED);
        assert_int_equal(front_state(s, id), JOB_QUEUED);
        cJSON *job = front_job(s, id);
        assert_non_null(strstr(json_field(json_field(job, "queue"), "reason")->valuestring, "its data set"));
        cJSON_Delete(job);
        char path[200], aside[200];
        snprintf(path, sizeof path, "%s/datasets", (char *)*state);
        snprintf(aside, sizeof aside, "%s/datasets.below", (char *)*state);
        assert_int_equal(rename(path, aside), 0);
        assert_int_equal(mkdir(path, 0700), 0);
        front_mount(*state, "datasets");
        front_wait_state(s, id, JOB_SUCCEEDED);
        assert_string_equal(set_state(s, "tiny"), "ready");
        service_destroy(s);
}

/* What stands there then is not shown to whom the name was. */
static void a_data_set_that_comes_back_as_another(void **state)
{
        char path[200];
        struct err e;
        service_destroy(front_start(*state));
        front_unmount(*state, "datasets", true);
        struct service *s = front_start(*state);
        assert_string_equal(set_state(s, "tiny"), "missing");
        snprintf(path, sizeof path, "%s/datasets/tiny.cnnd", (char *)*state);
        front_write_set(path, "other", 1, 0);
        assert_string_equal(set_state(s, "tiny"), "failed");
        assert_int_equal(refusal(s, SAVED), ERR_UNAVAILABLE);
        assert_int_equal(datasets_may_replace(s->datasets, &front_bert, "tiny", &e), ERR_UNAVAILABLE);
        service_destroy(s);
        s = front_start(*state);
        assert_int_equal(datasets_see(s->datasets, &front_bert, "tiny", &e), ERR_NOT_FOUND);
        service_destroy(s);
}

static void put_done(void *ctx, const cJSON *model, bool created, const struct err *e)
{
        (void)model;
        (void)created;
        *(int *)ctx = e ? e->code : 1;
}

/* Of an upload of the file at `from` as "it". */
static int put(struct service *s, const char *state, const struct identity *who, const char *from)
{
        char to[200], line[500];
        struct err e;
        int done = 0;
        cJSON *overrides = cJSON_CreateObject();
        snprintf(to, sizeof to, "%s/tmp/model", state);
        snprintf(line, sizeof line, "cp %s %s", from, to);
        assert_int_equal(system(line), 0);
        int rc = models_put(s->models, "it", who, to, overrides, put_done, &done, &e);
        cJSON_Delete(overrides);
        for (int64_t end = clock_now_ms() + FRONT_LONG_MS; rc == 0 && !done; front_turn(s))
                assert_true(clock_now_ms() < end);
        return rc ? rc : done == 1 ? 0 : done;
}

/* With the models "it" and "other", which it then has not. */
static struct service *start_without_models(struct service *s, const char *state)
{
        front_wait_state(s, front_submit(s, SAVED), JOB_SUCCEEDED);
        front_wait_state(
                s, front_submit(s, FRONT_JOB("other", "\"epochs\":3,\"save_as\":\"other\"")), JOB_SUCCEEDED);
        service_destroy(s);
        front_unmount(state, "models", true);
        return front_start(state);
}

/* The file of a model that comes back while the front runs: what was there, its copy, or another's. */
static void a_model_that_comes_back(void **state)
{
        static const struct timespec times[2] = {{.tv_sec = 1}, {.tv_sec = 1}};
        static const char image[] = "P5 2 2 255 abcd";
        static const struct identity root = {.user = "root", .operator= true };
        char path[200], other[200];
        struct service *s = front_start(*state);
        struct front_answer a;
        struct err e;
        int fd;
        uint64_t size;
        s = start_without_models(s, *state);
        assert_non_null(strstr(complaint(s), "may not be mounted"));
        front_mount(*state, "models");
        snprintf(path, sizeof path, "%s/models/it.safetensors", (char *)*state);
        assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
        assert_string_equal(complaint(s), "");
        service_destroy(s);
        front_unmount(*state, "models", true);
        s = front_start(*state);
        front_mount(*state, "models");
        snprintf(other, sizeof other, "%s/models/other.safetensors", (char *)*state);
        assert_int_equal(unlink(path), 0);
        assert_int_equal(link(other, path), 0);
        for (int i = 0; i < 2; i++) {
                assert_non_null(strstr(complaint(s), "another one"));
                assert_int_equal(models_open(s->models, "it", &fd, &size, &e), ERR_UNAVAILABLE);
                assert_int_equal(refusal(s, TUNED), ERR_UNAVAILABLE);
                assert_int_equal(front_classify(s, image, sizeof image - 1, &a), ERR_UNAVAILABLE);
                assert_non_null(strstr(a.error.message, "another one"));
                assert_int_equal(models_delete(s->models, "it", &e), ERR_UNAVAILABLE);
                assert_int_equal(models_may_save(s->models, &front_anna, "it", &e), ERR_UNAVAILABLE);
                assert_int_equal(models_may_save(s->models, &root, "it", &e), ERR_UNAVAILABLE);
                assert_int_equal(put(s, *state, &front_anna, other), ERR_UNAVAILABLE);
                assert_int_equal(models_place(s->models, "it", other, &e), ERR_UNAVAILABLE);
        }
        CHECK_OK(models_look(s->models, "other", &e), &e);
        CHECK_OK(put(s, *state, &root, other), &e); /* an operator knows */
        assert_int_equal(models_look(s->models, "it", &e), 0);
        service_destroy(s);
        s = front_start(*state);
        assert_int_equal(models_look(s->models, "it", &e), 0);
        service_destroy(s);
}

/* What was damaged meanwhile is still its owner's, to delete or to replace. */
static void a_model_that_comes_back_damaged(void **state)
{
        char path[200], other[200];
        struct err e;
        for (int replaced = 0; replaced < 2; replaced++) {
                struct service *s = front_start(*state);
                front_wait_state(s, front_submit(s, SAVED), JOB_SUCCEEDED);
                front_wait_state(s, front_submit(s, FRONT_JOB("other", "\"epochs\":3,\"save_as\":\"other\"")),
                        JOB_SUCCEEDED);
                service_destroy(s);
                snprintf(path, sizeof path, "%s/models/it.safetensors", (char *)*state);
                snprintf(other, sizeof other, "%s/models/other.safetensors", (char *)*state);
                assert_int_equal(truncate(path, 50), 0);
                s = front_start(*state);
                CHECK_OK(models_see(s->models, &front_anna, "it", &e), &e);
                if (replaced)
                        assert_int_equal(put(s, *state, &front_anna, other), 0);
                CHECK_OK(models_delete(s->models, "it", &e), &e);
                service_destroy(s);
        }
}

static void the_next_start_tells_whose_a_model_is(void **state)
{
        char path[200], other[200];
        struct service *s = front_start(*state);
        struct err e;
        s = start_without_models(s, *state);
        front_mount(*state, "models");
        snprintf(path, sizeof path, "%s/models/it.safetensors", (char *)*state);
        snprintf(other, sizeof other, "%s/models/other.safetensors", (char *)*state);
        assert_int_equal(unlink(path), 0);
        assert_int_equal(link(other, path), 0);
        assert_non_null(strstr(complaint(s), "another one"));
        service_destroy(s);
        s = front_start(*state);
        assert_int_equal(models_see(s->models, &front_anna, "it", &e), ERR_NOT_FOUND);
        service_destroy(s);
}

FRONT_MAIN(FRONT_TEST(models_that_are_not_mounted_are_kept),
        FRONT_TEST(data_sets_that_are_not_mounted_are_kept),
        FRONT_TEST(a_data_set_that_comes_back_as_another), FRONT_TEST(a_model_that_comes_back),
        FRONT_TEST(a_model_that_comes_back_damaged), FRONT_TEST(the_next_start_tells_whose_a_model_is))
