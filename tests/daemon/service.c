/* Jobs and classifications on their way through the front. */
#include "front.h"

#include "base/clock.h"
#include "base/json.h"
#include "daemon/jobs/jobrun.h"
#include "daemon/models/modelrow.h"
#include "data/dataset.h"

static void pause_resume_cancel(void **state)
{
        setenv("CNND_FAKE_STEP_MS", "4", 1); /* time enough for each wish before the job's end */
        struct service *s = front_start(*state);
        struct err e;
        int64_t id = front_submit(s, FRONT_JOB("it", "\"epochs\":20,\"save_as\":\"it\""));
        int64_t waiting = front_submit(s, FRONT_JOB("waiting", "\"epochs\":100000"));
        front_wait_step(s, id, 30);
        CHECK_OK(jobs_pause(s->jobs, id, &e), &e);
        front_wait_state(s, id, JOB_PAUSED);
        cJSON *job = front_job(s, waiting);
        assert_true(cJSON_IsNull(json_field(json_field(job, "metrics"), "train_loss")));
        cJSON_Delete(job);
        assert_int_equal(jobs_pause(s->jobs, id, &e), ERR_STATE);
        front_wait_step(s, waiting, 5);
        CHECK_OK(jobs_resume(s->jobs, id, &e), &e);
        assert_int_equal(jobs_resume(s->jobs, id, &e), ERR_STATE);
        CHECK_OK(jobs_cancel(s->jobs, waiting, &e), &e);
        CHECK_OK(jobs_cancel(s->jobs, waiting, &e), &e);
        assert_int_equal(jobs_pause(s->jobs, waiting, &e), ERR_STATE);
        front_wait_state(s, waiting, JOB_CANCELLED);
        assert_int_equal(jobs_cancel(s->jobs, waiting, &e), ERR_STATE);
        assert_int_equal(jobs_resume(s->jobs, waiting, &e), ERR_STATE);
        assert_int_equal(jobs_cancel(s->jobs, 99, &e), ERR_NOT_FOUND);
        front_wait_step(s, id, 60);
        CHECK_OK(jobs_pause(s->jobs, id, &e), &e);
        CHECK_OK(jobs_resume(s->jobs, id, &e), &e); /* taken back before it stopped */
        front_wait_state(s, id, JOB_SUCCEEDED);
        front_check_undisturbed(s, *state, id, 400);
        service_destroy(s);
}

static void the_same_key_is_the_same_job(void **state)
{
        struct service *s = front_start(*state);
        struct err e;
        static const char text[] = FRONT_JOB("it", "\"epochs\":1");
        cJSON *body = json_parse(text, sizeof text - 1, &e);
        int64_t first, second, other, count[JOB_STATES];
        bool again;
        CHECK_OK(jobs_submit(s->jobs, &front_anna, "k1", body, &first, &again, &e), &e);
        assert_false(again);
        CHECK_OK(jobs_submit(s->jobs, &front_anna, "k1", body, &second, &again, &e), &e);
        assert_true(again && first == second);
        CHECK_OK(jobs_submit(s->jobs, &front_bert, "k1", body, &other, &again, &e), &e);
        assert_true(!again && other != first);
        CHECK_OK(jobs_count(s->jobs, NULL, count, &e), &e);
        assert_int_equal(count[JOB_QUEUED] + count[JOB_RUNNING], 2);
        const struct jobs_filter f = {.state = -1, .user = "bert", .limit = 10};
        cJSON *list = NULL;
        int64_t before;
        CHECK_OK(jobs_list(s->jobs, &f, &list, &before, &e), &e);
        assert_int_equal(cJSON_GetArraySize(list), 1);
        cJSON_Delete(list);
        jobs_cancel(s->jobs, other, &e);
        while (!job_state_final(front_state(s, other)))
                front_turn(s);
        CHECK_OK(jobs_delete(s->jobs, other, &e), &e);
        CHECK_OK(jobs_submit(s->jobs, &front_bert, "k1", body, &second, &again, &e), &e);
        assert_true(!again && second > other);
        cJSON_Delete(body);
        service_destroy(s);
}

static void wrong_submissions_store_nothing(void **state)
{
        static const struct {
                const char *body, *pointer;
                int code;
        } wrong[] = {
                {"[]", "", ERR_INVALID},
                {"{}", "/type", ERR_INVALID},
                {"{\"type\":\"bake\"}", "/type", ERR_INVALID},
                {FRONT_JOB("x", "\"epochs\":0"), "/epochs", ERR_INVALID},
                {FRONT_JOB("x", "\"epochs\":1,\"colour\":1"), "/colour", ERR_INVALID},
                {FRONT_JOB("x", "\"epochs\":1,\"save_as\":\"../x\""), "/save_as", ERR_INVALID},
                {FRONT_JOB("x", "\"epochs\":1,\"init\":{\"from\":\"none\"}"), "/init/from", ERR_INVALID},
                {"{\"type\":\"train\",\"architecture\":\"lenet\",\"dataset\":\"none\",\"epochs\":1}",
                        "/dataset", ERR_INVALID},
                {"{\"type\":\"train\",\"architecture\":\"lenet\",\"dataset\":{\"name\":\"none\"},\"epochs\":"
                 "1}",
                        "/dataset/name", ERR_INVALID},
                {"{\"type\":\"classify\",\"model\":\"none\",\"dataset\":\"tiny\"}", "/model", ERR_INVALID},
                {"{\"type\":\"classify\",\"model\":\"none\"}", "/dataset", ERR_INVALID},
                {"{\"type\":\"classify\",\"model\":\"none\",\"dataset\":\"tiny\",\"limit\":0}", "/limit",
                        ERR_INVALID},
        };
        struct service *s = front_start(*state);
        int64_t count[JOB_STATES], id = 0;
        struct err e;
        for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
                bool again;
                cJSON *body = json_parse(wrong[i].body, strlen(wrong[i].body), &e);
                assert_non_null(body);
                int rc = jobs_submit(s->jobs, &front_anna, NULL, body, &id, &again, &e);
                if (rc != wrong[i].code || strcmp(e.pointer, wrong[i].pointer) != 0)
                        fail_msg("%s: %d %s at %s", wrong[i].body, rc, e.message, e.pointer);
                cJSON_Delete(body);
        }
        CHECK_OK(jobs_count(s->jobs, NULL, count, &e), &e);
        for (int i = 0; i < JOB_STATES; i++)
                assert_int_equal(count[i], 0);
        service_destroy(s);
}

static void a_job_succeeds_and_its_model_classifies(void **state)
{
        struct service *s = front_start(*state);
        struct err e;
        struct front_answer a;
        cJSON *model = NULL;
        int64_t id = front_submit(s, FRONT_JOB("it", "\"epochs\":2,\"save_as\":\"it\""));
        const struct classify_caller caller = {.ctx = &a, .done = front_classified};
        front_wait_state(s, id, JOB_SUCCEEDED);
        CHECK_OK(models_get(s->models, "it", &model, &e), &e);
        assert_int_equal(json_field(model, "job")->valuedouble, id);
        assert_float_equal(
                (float)json_field(json_field(model, "metrics"), "train_loss")->valuedouble, 0.25f, 1e-6);
        cJSON_Delete(model);
        static const char image[] = "P5 2 2 255\n\x4D\x4D\x4D\x4D", bad[] = "P5 2 2 255\n\x4D";
        /* While a long job trains, too. */
        int64_t busy = front_submit(s, FRONT_JOB("busy", "\"epochs\":100000"));
        front_wait_step(s, busy, 3);
        assert_int_equal(front_classify(s, image, sizeof image - 1, &a), 0);
        const cJSON *best = cJSON_GetArrayItem(
                json_field(cJSON_GetArrayItem(json_field(a.result, "results"), 0), "predictions"), 0);
        assert_string_equal(json_field(best, "label")->valuestring, "d");
        assert_float_equal((float)json_field(best, "probability")->valuedouble, 0.450853f, 1e-5);
        cJSON_Delete(a.result);
        assert_int_equal(front_classify(s, bad, sizeof bad - 1, &a), ERR_SYNTAX);
        assert_int_equal(front_classify(s, "hello", 5, &a), ERR_MEDIA);
        assert_int_equal(classify_start(s->classify, "none", "x", 1, NULL, 2, &caller, &e), ERR_NOT_FOUND);
        CHECK_OK(jobs_cancel(s->jobs, busy, &e), &e);
        front_wait_state(s, busy, JOB_CANCELLED);
        service_destroy(s);
}

struct visitor {
        struct front_answer answer; /* first: front_classified fills it */
        bool left;
};

static bool visitor_left(void *ctx)
{
        return ((struct visitor *)ctx)->left;
}

/* Of three callers the one behind another leaves before the decoder has begun, and one after it. */
static void what_nobody_waits_for_is_not_begun(void **state)
{
        static const char image[] = "P5 2 2 255\n\x4D\x4D\x4D\x4D";
        struct service *s = front_start(*state);
        struct visitor v[3] = {0};
        int64_t end = clock_now_ms() + FRONT_LONG_MS;
        struct err e;
        front_wait_state(
                s, front_submit(s, FRONT_JOB("it", "\"epochs\":2,\"save_as\":\"it\"")), JOB_SUCCEEDED);
        for (int i = 0; i < 3; i++) {
                const struct classify_caller caller = {
                        .ctx = &v[i], .done = front_classified, .gone = visitor_left};
                CHECK_OK(
                        classify_start(s->classify, "it", image, sizeof image - 1, NULL, 2, &caller, &e), &e);
        }
        v[0].left = v[1].left = true;
        service_run(s); /* the first has gone to the decoder, which cannot have answered in this turn */
        assert_true(v[0].answer.done && v[1].answer.done);
        assert_int_equal(v[0].answer.error.code, ERR_CANCELLED);
        assert_int_equal(v[1].answer.error.code, ERR_CANCELLED);
        while (!v[2].answer.done) {
                assert_true(clock_now_ms() < end);
                front_turn(s);
        }
        assert_int_equal(v[2].answer.error.code, 0);
        assert_null(v[0].answer.result);
        assert_null(v[1].answer.result);
        cJSON_Delete(v[2].answer.result);
        service_destroy(s);
}

static void classify_jobs_have_results(void **state)
{
        struct service *s = front_start(*state);
        struct err e;
        uint64_t size;
        int fd;
        int64_t id = front_submit(s, FRONT_JOB("it", "\"epochs\":2,\"save_as\":\"it\""));
        front_wait_state(s, id, JOB_SUCCEEDED);
        assert_int_equal(jobs_result(s->jobs, id, &fd, &size, &e), ERR_STATE);
        id = front_submit(s, "{\"type\":\"classify\",\"model\":\"it\",\"dataset\":\"tiny\"}");
        front_wait_state(s, id, JOB_SUCCEEDED);
        char *text = front_result(s, id);
        cJSON *result = json_parse(text, strlen(text), &e);
        assert_non_null(result);
        assert_int_equal(json_field(result, "count")->valueint, FRONT_IMAGES);
        assert_float_equal((float)json_field(result, "accuracy")->valuedouble, 1.0f, 1e-6);
        assert_int_equal(
                cJSON_GetArrayItem(cJSON_GetArrayItem(json_field(result, "confusion"), 3), 3)->valueint, 5);
        assert_int_equal(cJSON_GetArraySize(json_field(result, "predictions")), FRONT_IMAGES);
        cJSON_Delete(result);
        free(text);
        service_destroy(s);
}

static void a_failed_job_says_why(void **state)
{
        struct service *s = front_start(*state);
        int64_t id = front_submit(s, FRONT_JOB("fail 5", "\"epochs\":1"));
        front_wait_state(s, id, JOB_FAILED);
        cJSON *job = front_job(s, id);
        assert_non_null(strstr(json_field(job, "error")->valuestring, "smaller learning rate"));
        cJSON_Delete(job);
        assert_int_equal(supervisor_state(s->supervisor, 0), DEVICE_READY);
        service_destroy(s);
}

static void a_second_front_is_refused(void **state)
{
        struct service *s = front_start(*state), *second = NULL;
        const struct service_options o = {
                .state_dir = *state, .device_spec = "all", .log_level = "error", .watchdog_seconds = 60};
        struct err e;
        assert_int_equal(service_create(&o, &second, &e), ERR_STATE);
        service_destroy(s);
}

static void a_model_without_its_row_comes_back(void **state)
{
        struct service *s = front_start(*state);
        struct err e;
        char from[200], to[200];
        cJSON *model = NULL;
        front_wait_state(
                s, front_submit(s, FRONT_JOB("it", "\"epochs\":2,\"save_as\":\"it\"")), JOB_SUCCEEDED);
        service_destroy(s);
        snprintf(from, sizeof from, "%s/models/it.safetensors", (char *)*state);
        snprintf(to, sizeof to, "%s/models/other.safetensors", (char *)*state);
        assert_int_equal(rename(from, to), 0);
        s = front_start(*state);
        bool there = false; /* its row stays, until somebody deletes it */
        CHECK_OK(models_exists(s->models, "it", &there, &e), &e);
        assert_true(there);
        CHECK_OK(models_delete(s->models, "it", &e), &e);
        CHECK_OK(models_get(s->models, "other", &model, &e), &e);
        cJSON_Delete(model);
        CHECK_OK(models_delete(s->models, "other", &e), &e);
        assert_int_equal(models_delete(s->models, "other", &e), ERR_NOT_FOUND);
        service_destroy(s);
}

static char *model_text(struct service *s)
{
        cJSON *model = NULL;
        struct err e;
        CHECK_OK(models_get(s->models, "it", &model, &e), &e);
        char *text = json_text(model);
        cJSON_Delete(model);
        assert_non_null(text);
        return text;
}

static void in_folder(const char *state, const char *command)
{
        char line[300];
        snprintf(line, sizeof line, "cd %s && %s", state, command);
        assert_int_equal(system(line), 0);
}

/* A data set of other images, as "mine". */
static void write_other(const char *state)
{
        char path[200];
        snprintf(path, sizeof path, "%s/datasets/mine.cnnd", state);
        front_write_set(path, "other", 1, 1);
}

static void put_back(const char *state)
{
        in_folder(state, "rm -f cnnd.db-wal cnnd.db-shm && mv copy.db cnnd.db");
}

/* What somebody else made under a name after a backup is not whose the name was. */
static void a_name_that_another_took_is_not_given_back(void **state)
{
        struct service *s = front_start(*state);
        struct err e;
        char copy[200], set[200];
        bool created;
        snprintf(copy, sizeof copy, "%s/copy.db", (char *)*state);
        snprintf(set, sizeof set, "%s/tmp/set", (char *)*state);
        front_wait_state(
                s, front_submit(s, FRONT_JOB("it", "\"epochs\":2,\"save_as\":\"it\"")), JOB_SUCCEEDED);
        in_folder(*state, "cp datasets/tiny.cnnd tmp/set");
        CHECK_OK(datasets_adopt(s->datasets, "mine", set, &front_anna, &created, &e), &e);
        CHECK_OK(store_backup(s->store, copy, &e), &e);
        CHECK_OK(models_delete(s->models, "it", &e), &e);
        CHECK_OK(datasets_delete(s->datasets, &front_anna, "mine", &e), &e);
        front_wait_state(s,
                front_submit_as(s, &front_bert, FRONT_JOB("bert", "\"epochs\":3,\"save_as\":\"it\"")),
                JOB_SUCCEEDED);
        int64_t paused = front_submit_as(s, &front_bert, FRONT_JOB("rest 5", "\"epochs\":20"));
        front_wait_step(s, paused, 5);
        CHECK_OK(jobs_pause(s->jobs, paused, &e), &e);
        front_wait_state(s, paused, JOB_PAUSED);
        service_destroy(s);
        write_other(*state);
        put_back(*state);
        s = front_open(*state, 60);
        assert_int_equal(models_see(s->models, &front_anna, "it", &e), ERR_NOT_FOUND);
        assert_int_equal(models_see(s->models, &front_bert, "it", &e), ERR_NOT_FOUND);
        assert_int_equal(models_may_save(s->models, &front_anna, "it", &e), ERR_EXISTS);
        assert_int_equal(datasets_see(s->datasets, &front_anna, "mine", &e), ERR_NOT_FOUND);
        service_destroy(s);
}

/* Everybody's set that an operator makes anew stays everybody's. */
static void a_shared_data_set_that_is_replaced(void **state)
{
        static const struct identity root = {.user = "root", .operator= true };
        char from[200], path[200];
        struct err e;
        bool created;
        struct service *s = front_start(*state);
        write_other(*state);
        snprintf(from, sizeof from, "%s/datasets/mine.cnnd", (char *)*state);
        snprintf(path, sizeof path, "%s/tmp/set", (char *)*state);
        assert_int_equal(rename(from, path), 0);
        CHECK_OK(datasets_may_replace(s->datasets, &root, "tiny", &e), &e);
        CHECK_OK(datasets_adopt(s->datasets, "tiny", path, &root, &created, &e), &e);
        assert_false(created);
        for (int i = 0; i < 2; i++) {
                CHECK_OK(datasets_see(s->datasets, &front_bert, "tiny", &e), &e);
                service_destroy(s);
                s = front_start(*state);
        }
        service_destroy(s);
}

/* Whose a set has become he may replace at once, and nobody takes it from him. */
static void a_data_set_that_was_given(void **state)
{
        struct err e;
        write_other(*state);
        struct service *s = front_start(*state);
        assert_int_equal(datasets_may_replace(s->datasets, &front_bert, "mine", &e), ERR_EXISTS);
        CHECK_OK(datasets_settle(*state, s->store, "mine", "bert", &e), &e);
        assert_int_equal(datasets_may_replace(s->datasets, &front_anna, "mine", &e), ERR_EXISTS);
        CHECK_OK(datasets_may_replace(s->datasets, &front_bert, "mine", &e), &e);
        service_destroy(s);
}

/* As where a backup is put back: the same bytes in other files, with their times or without. */
static void a_copied_model_keeps_its_row(void **state)
{
        struct service *s = front_start(*state);
        struct err e;
        front_wait_state(
                s, front_submit(s, FRONT_JOB("it", "\"epochs\":2,\"save_as\":\"it\"")), JOB_SUCCEEDED);
        char *before = model_text(s);
        assert_non_null(strstr(before, "\"job\":1"));
        for (int i = 0; i < 4; i++) {
                service_destroy(s);
                if (i % 2 == 0)
                        in_folder(*state, i ? "cp -r models copy && rm -r models && mv copy models"
                                            : "cp -a models copy && rm -r models && mv copy models");
                s = front_start(*state);
                char *after = model_text(s);
                assert_string_equal(before, after);
                free(after);
        }
        service_destroy(s);
        in_folder(*state, "truncate -s -1 models/it.safetensors && printf x >>models/it.safetensors");
        s = front_start(*state);
        char *after = model_text(s);
        assert_non_null(strstr(after, "\"job\":null"));
        assert_non_null(strstr(after, "\"user\":\"\"")); /* it may be anybody's */
        free(after);
        assert_int_equal(models_see(s->models, &front_anna, "it", &e), ERR_NOT_FOUND);
        CHECK_OK(modelrow_give(s->store, "it", "anna", &e), &e); /* as another process does it */
        CHECK_OK(models_see(s->models, &front_anna, "it", &e), &e);
        assert_int_equal(modelrow_give(s->store, "it", "bert", &e), ERR_EXISTS);
        assert_int_equal(modelrow_give(s->store, "none", "bert", &e), ERR_NOT_FOUND);
        free(before);
        service_destroy(s);
}

/* Who was told that it will be cancelled is not told that it succeeded, though its run came to its end. */
static void a_cancel_goes_before_the_end(void **state)
{
        static const char *const jobs[] = {FRONT_JOB("rest 200", "\"epochs\":20"),
                FRONT_JOB("rest 200", "\"epochs\":20,\"save_as\":\"it\"")};
        const struct report end = {.kind = REPORT_DONE, .end = TRAIN_DONE};
        for (int i = 0; i < 2; i++) {
                struct service *s = front_start(*state);
                struct jobrun_outcome out;
                struct err e;
                bool there = true;
                int64_t id = front_submit(s, jobs[i]);
                front_wait_state(s, id, JOB_RUNNING);
                CHECK_OK(jobs_cancel(s->jobs, id, &e), &e);
                CHECK_OK(jobrun_apply(s->jobs, id, 0, &end, &out, &e), &e);
                assert_int_equal(front_state(s, id), JOB_CANCELLED);
                CHECK_OK(models_exists(s->models, "it", &there, &e), &e);
                assert_false(there);
                service_destroy(s);
        }
}

static void the_state_table(void **state)
{
        static const char *const allowed[JOB_STATES] = {"running paused failed cancelled",
                "queued paused succeeded failed cancelled", "queued cancelled", "", "", ""};
        (void)state;
        for (int from = 0; from < JOB_STATES; from++)
                for (int to = 0; to < JOB_STATES; to++)
                        assert_int_equal(job_state_allows((enum job_state)from, (enum job_state)to),
                                strstr(allowed[from], job_state_name((enum job_state)to)) != NULL);
}

/* A disk that is full or fails, and want of memory: nothing of what it has done is lost. */
static void what_passes_ends_in_a_pause(void **state)
{
        static const char *const jobs[] = {FRONT_JOB("full 25", "\"epochs\":5"),
                FRONT_JOB("broken 25", "\"epochs\":5"), FRONT_JOB("short 25", "\"epochs\":5")};
        struct service *s = front_start(*state);
        for (int i = 0; i < 3; i++) {
                int64_t id = front_submit(s, jobs[i]);
                front_wait_state(s, id, JOB_PAUSED);
                cJSON *job = front_job(s, id);
                assert_true(cJSON_IsNull(json_field(job, "error")));
                assert_int_equal(json_field(json_field(job, "progress"), "step")->valueint, 24);
                cJSON_Delete(job);
                struct err e;
                CHECK_OK(jobs_resume(s->jobs, id, &e), &e);
                CHECK_OK(jobs_cancel(s->jobs, id, &e), &e);
                front_wait_state(s, id, JOB_CANCELLED);
        }
        service_destroy(s);
}

FRONT_MAIN(FRONT_TEST(pause_resume_cancel), FRONT_TEST(the_same_key_is_the_same_job),
        FRONT_TEST(wrong_submissions_store_nothing), FRONT_TEST(a_job_succeeds_and_its_model_classifies),
        FRONT_TEST(what_nobody_waits_for_is_not_begun), FRONT_TEST(classify_jobs_have_results),
        FRONT_TEST(a_failed_job_says_why), FRONT_TEST(a_second_front_is_refused),
        FRONT_TEST(a_model_without_its_row_comes_back),
        FRONT_TEST(a_name_that_another_took_is_not_given_back),
        FRONT_TEST(a_shared_data_set_that_is_replaced), FRONT_TEST(a_data_set_that_was_given),
        FRONT_TEST(a_copied_model_keeps_its_row), FRONT_TEST(a_cancel_goes_before_the_end),
        FRONT_TEST(what_passes_ends_in_a_pause), cmocka_unit_test(the_state_table))
