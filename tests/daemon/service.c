/* Jobs, workers and kills, on an engine without a device (fake_engine.c). The test is its own daemon: it
   plays the front, and is started again for the roles of the children. */
#include "check.h"

#include "base/json.h"
#include "daemon/clock.h"
#include "daemon/modelcheck.h"
#include "daemon/role.h"
#include "daemon/service.h"
#include "data/dataset.h"

#include <dirent.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { IMAGES = 40, CLASSES = 10, LONG_MS = 20000 };

/* In place of the real one, which would link the whole engine. */
int modelcheck_file(const char *path, const cJSON *overrides, cJSON **ret, struct err *e)
{
        (void)overrides;
        (void)ret;
        return err_set(e, ERR_INVALID, "%s is no model", path);
}

static void write_dataset(const char *state)
{
        static const char *const names[CLASSES] = {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"};
        uint8_t images[IMAGES * 4];
        int32_t labels[IMAGES];
        char path[200];
        struct err e;
        struct dataset d = {.name = "tiny", .c = 1, .h = 2, .w = 2, .num_classes = CLASSES};
        for (int i = 0; i < IMAGES; i++) {
                labels[i] = i % 9;
                memset(images + 4 * i, (i % 9) * 255 / 10 + 1, 4);
        }
        d.classes = (char **)(uintptr_t)names;
        for (int s = 0; s < DATASET_SPLITS; s++) {
                d.split[s].count = IMAGES;
                d.split[s].images = images;
                d.split[s].labels = labels;
        }
        snprintf(path, sizeof path, "%s/datasets", state);
        mkdir(path, 0700);
        snprintf(path, sizeof path, "%s/datasets/tiny.cnnd", state);
        CHECK_OK(dataset_write(&d, path, &e), &e);
}

static void remove_tree(const char *path)
{
        pid_t pid = fork();
        if (pid == 0) {
                execlp("rm", "rm", "-rf", path, (char *)NULL);
                _exit(127);
        }
        waitpid(pid, NULL, 0);
}

static int make_state(void **state)
{
        char *dir = strdup("/tmp/cnnd-test-XXXXXX");
        unsetenv("CNND_TEST_HANG_FILE");
        unsetenv("CNND_FAKE_DEVICES");
        setenv("CNND_FAKE_STEP_MS", "1", 1);
        if (!dir || !mkdtemp(dir))
                return -1;
        write_dataset(dir);
        *state = dir;
        return 0;
}

static int drop_state(void **state)
{
        remove_tree(*state);
        free(*state);
        return 0;
}

static struct service *open_service(const char *state, double watchdog)
{
        const struct service_options o = {.state_dir = state,
                .device_spec = "all",
                .log_level = getenv("CNND_TEST_LOG") ? "debug" : "error",
                .watchdog_seconds = watchdog,
                .checkpoint_seconds = 30};
        struct service *s = NULL;
        struct err e;
        CHECK_OK(service_create(&o, &s, &e), &e);
        return s;
}

static void turn(struct service *s)
{
        int wait = service_timeout_ms(s);
        struct pollfd p = {.fd = service_fd(s), .events = POLLIN};
        poll(&p, 1, wait < 0 || wait > 50 ? 50 : wait);
        service_run(s);
}

static struct service *start(const char *state)
{
        struct service *s = open_service(state, 60);
        struct err e;
        int64_t end = clock_now_ms() + LONG_MS;
        while (service_health(s, &e))
                if (clock_now_ms() > end)
                        fail_msg("not healthy: %s", e.message);
                else
                        turn(s);
        return s;
}

static int64_t submit(struct service *s, const char *text)
{
        struct err e = {0};
        int64_t id = 0;
        bool again;
        cJSON *body = json_parse(text, strlen(text), &e);
        CHECK_OK(body ? 0 : e.code, &e);
        CHECK_OK(jobs_submit(s->jobs, "anna", NULL, body, &id, &again, &e), &e);
        cJSON_Delete(body);
        return id;
}

#define JOB(name, more)                                                                                      \
        "{\"type\":\"train\",\"name\":\"" name                                                               \
        "\",\"architecture\":\"lenet\",\"dataset\":\"tiny\",\"batch_size\":2,"                               \
        "\"optimizer\":{\"name\":\"sgd\",\"lr\":0.1},\"seed\":7," more "}"

static cJSON *get(struct service *s, int64_t id)
{
        struct err e;
        cJSON *job = NULL;
        CHECK_OK(jobs_get(s->jobs, id, &job, &e), &e);
        return job;
}

static enum job_state state_of(struct service *s, int64_t id)
{
        cJSON *job = get(s, id);
        int state = job_state_parse(json_field(job, "state")->valuestring);
        cJSON_Delete(job);
        return (enum job_state)state;
}

static int64_t step_of(struct service *s, int64_t id)
{
        cJSON *job = get(s, id);
        double step = json_field(json_field(job, "progress"), "step")->valuedouble;
        cJSON_Delete(job);
        return (int64_t)step;
}

static void wait_state(struct service *s, int64_t id, enum job_state want)
{
        int64_t end = clock_now_ms() + LONG_MS;
        while (state_of(s, id) != want) {
                if (clock_now_ms() > end || (job_state_final(state_of(s, id)) && state_of(s, id) != want)) {
                        cJSON *job = get(s, id);
                        char *text = json_text(job);
                        fail_msg("waited for %s: %s", job_state_name(want), text);
                }
                turn(s);
        }
}

static void wait_step(struct service *s, int64_t id, int64_t step)
{
        int64_t end = clock_now_ms() + LONG_MS;
        while (step_of(s, id) < step) {
                assert_true(clock_now_ms() < end);
                turn(s);
        }
}

static pid_t worker_of(struct service *s, int device)
{
        cJSON *list = NULL;
        struct err e;
        CHECK_OK(supervisor_json(s->supervisor, &list, &e), &e);
        const cJSON *pid = json_field(cJSON_GetArrayItem(list, device), "worker_pid");
        pid_t ret = cJSON_IsNumber(pid) ? (pid_t)pid->valueint : 0;
        cJSON_Delete(list);
        return ret;
}

/* The job's train and validation events as text, checked: ids count by one, steps of trains too. */
struct replay {
        char *text;
        size_t len;
        int64_t last_id, train_step;
        char last_event[16];
};

static int replay_row(void *ctx, int64_t id, const char *event, const char *data)
{
        struct replay *r = ctx;
        assert_int_equal(id, r->last_id + 1);
        r->last_id = id;
        snprintf(r->last_event, sizeof r->last_event, "%s", event);
        if (strcmp(event, "train") != 0 && strcmp(event, "validation") != 0)
                return 0;
        if (strcmp(event, "train") == 0)
                assert_int_equal(strtoll(strstr(data, "\"step\":") + 7, NULL, 10), ++r->train_step);
        char *text = NULL;
        int n = asprintf(&text, "%s%s %s\n", r->text ? r->text : "", event, data);
        assert_true(n > 0);
        free(r->text);
        r->text = text;
        return 0;
}

static char *curve(struct service *s, int64_t id, int64_t steps)
{
        struct replay r = {0};
        struct err e;
        CHECK_OK(jobs_events(s->jobs, id, 0, 0, replay_row, &r, &e), &e);
        assert_int_equal(r.train_step, steps);
        assert_string_equal(r.last_event, "end");
        return r.text;
}

static void same_model(const char *state, const char *a, const char *b)
{
        char path[2][200], bytes[2][4096];
        size_t len[2];
        for (int i = 0; i < 2; i++) {
                snprintf(path[i], sizeof path[i], "%s/models/%s.safetensors", state, i ? b : a);
                FILE *f = fopen(path[i], "rb");
                assert_non_null(f);
                len[i] = fread(bytes[i], 1, sizeof bytes[i], f);
                fclose(f);
        }
        assert_int_equal(len[0], len[1]);
        assert_memory_equal(bytes[0], bytes[1], len[0]);
}

/* Runs an undisturbed job beside, and compares. */
static void check_undisturbed(struct service *s, const char *state, int64_t id, int64_t steps)
{
        int64_t calm = submit(s, JOB("calm", "\"epochs\":20,\"save_as\":\"calm\""));
        wait_state(s, calm, JOB_SUCCEEDED);
        char *a = curve(s, calm, steps), *b = curve(s, id, steps);
        assert_string_equal(a, b);
        free(a);
        free(b);
        same_model(state, "calm", "it");
}

static void a_killed_worker_changes_nothing(void **state)
{
        struct service *s = start(*state);
        int64_t id = submit(s, JOB("it", "\"epochs\":20,\"save_as\":\"it\""));
        for (int step = 50; step <= 250; step += 100) {
                wait_step(s, id, step);
                kill(worker_of(s, 0), SIGKILL);
        }
        wait_state(s, id, JOB_SUCCEEDED);
        check_undisturbed(s, *state, id, 400);
        service_destroy(s);
}

static void a_killed_front_changes_nothing(void **state)
{
        for (int step = 30; step <= 330; step += 100) {
                pid_t front = fork();
                if (front == 0) {
                        struct service *s = start(*state);
                        if (step == 30)
                                submit(s, JOB("it", "\"epochs\":20,\"save_as\":\"it\""));
                        wait_step(s, 1, step);
                        raise(SIGKILL);
                }
                int status;
                waitpid(front, &status, 0);
                assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        }
        struct service *s = start(*state);
        wait_state(s, 1, JOB_SUCCEEDED);
        check_undisturbed(s, *state, 1, 400);
        service_destroy(s);
}

static void a_hanging_kernel_is_ended(void **state)
{
        char file[200];
        snprintf(file, sizeof file, "%s/hang", (char *)*state);
        fclose(fopen(file, "w"));
        setenv("CNND_TEST_HANG_FILE", file, 1);
        setenv("CNND_TEST_HANG_STEP", "25", 1);
        struct service *s = open_service(*state, 1.5);
        struct err e;
        while (service_health(s, &e))
                turn(s);
        int64_t id = submit(s, JOB("it", "\"epochs\":20,\"save_as\":\"it\""));
        int64_t begun = clock_now_ms();
        wait_state(s, id, JOB_SUCCEEDED);
        assert_true(clock_now_ms() - begun > 1500);
        assert_int_equal(access(file, F_OK), -1);
        check_undisturbed(s, *state, id, 400);
        service_destroy(s);
}

static void three_deaths_in_a_row_quarantine_the_device(void **state)
{
        struct service *s = start(*state);
        int64_t id = submit(s, JOB("abort 1", "\"epochs\":1")), next = submit(s, JOB("next", "\"epochs\":1"));
        struct err e;
        wait_state(s, id, JOB_FAILED);
        cJSON *job = get(s, id);
        assert_non_null(strstr(json_field(job, "error")->valuestring, "restart cnnd"));
        cJSON_Delete(job);
        assert_int_equal(supervisor_state(s->supervisor, 0), DEVICE_QUARANTINED);
        assert_int_equal(service_health(s, &e), ERR_UNAVAILABLE);
        assert_int_equal(state_of(s, next), JOB_QUEUED);
        service_destroy(s);
        s = start(*state);
        wait_state(s, next, JOB_SUCCEEDED);
        service_destroy(s);
}

static void deaths_with_progress_between_do_not(void **state)
{
        struct service *s = start(*state);
        int64_t id = submit(s, JOB("it", "\"epochs\":20"));
        for (int step = 20; step <= 120; step += 20) {
                wait_step(s, id, step);
                kill(worker_of(s, 0), SIGKILL);
                while (worker_of(s, 0))
                        turn(s);
        }
        wait_state(s, id, JOB_SUCCEEDED);
        service_destroy(s);
}

static void another_device_takes_the_job(void **state)
{
        setenv("CNND_FAKE_DEVICES", "2", 1);
        setenv("CNND_FAKE_STEP_MS", "5", 1);
        struct service *s = start(*state);
        int64_t a = submit(s, JOB("a", "\"epochs\":5")), b = submit(s, JOB("b", "\"epochs\":5"));
        wait_step(s, a, 10);
        wait_step(s, b, 10);
        assert_int_equal(supervisor_job(s->supervisor, 0) + supervisor_job(s->supervisor, 1), a + b);
        wait_state(s, a, JOB_SUCCEEDED);
        wait_state(s, b, JOB_SUCCEEDED);
        service_destroy(s);
}

static void pause_resume_cancel(void **state)
{
        struct service *s = start(*state);
        struct err e;
        int64_t id = submit(s, JOB("it", "\"epochs\":20,\"save_as\":\"it\""));
        int64_t waiting = submit(s, JOB("waiting", "\"epochs\":20"));
        wait_step(s, id, 30);
        CHECK_OK(jobs_pause(s->jobs, id, &e), &e);
        wait_state(s, id, JOB_PAUSED);
        cJSON *job = get(s, waiting);
        assert_true(cJSON_IsNull(json_field(json_field(job, "metrics"), "train_loss")));
        cJSON_Delete(job);
        assert_int_equal(jobs_pause(s->jobs, id, &e), ERR_STATE);
        wait_step(s, waiting, 5);
        CHECK_OK(jobs_resume(s->jobs, id, &e), &e);
        assert_int_equal(jobs_resume(s->jobs, id, &e), ERR_STATE);
        CHECK_OK(jobs_cancel(s->jobs, waiting, &e), &e);
        CHECK_OK(jobs_cancel(s->jobs, waiting, &e), &e);
        assert_int_equal(jobs_pause(s->jobs, waiting, &e), ERR_STATE);
        wait_state(s, waiting, JOB_CANCELLED);
        assert_int_equal(jobs_cancel(s->jobs, waiting, &e), ERR_STATE);
        assert_int_equal(jobs_resume(s->jobs, waiting, &e), ERR_STATE);
        assert_int_equal(jobs_cancel(s->jobs, 99, &e), ERR_NOT_FOUND);
        wait_step(s, id, 60);
        CHECK_OK(jobs_pause(s->jobs, id, &e), &e);
        CHECK_OK(jobs_resume(s->jobs, id, &e), &e); /* taken back before it stopped */
        wait_state(s, id, JOB_SUCCEEDED);
        check_undisturbed(s, *state, id, 400);
        service_destroy(s);
}

static void a_cancel_outlives_the_front(void **state)
{
        pid_t front = fork();
        if (front == 0) {
                struct service *s = start(*state);
                struct err e;
                int64_t id = submit(s, JOB("it", "\"epochs\":20"));
                wait_step(s, id, 10);
                if (jobs_cancel(s->jobs, id, &e))
                        _exit(1);
                raise(SIGKILL);
        }
        int status;
        waitpid(front, &status, 0);
        assert_true(WIFSIGNALED(status));
        struct service *s = start(*state);
        assert_int_equal(state_of(s, 1), JOB_CANCELLED);
        service_destroy(s);
}

static void draining_keeps_jobs(void **state)
{
        struct service *s = start(*state);
        struct err e;
        int64_t id = submit(s, JOB("it", "\"epochs\":20,\"save_as\":\"it\"")), none;
        bool again;
        wait_step(s, id, 30);
        service_drain(s);
        assert_int_equal(service_health(s, &e), ERR_UNAVAILABLE);
        cJSON *body = cJSON_CreateObject();
        assert_int_equal(jobs_submit(s->jobs, "anna", NULL, body, &none, &again, &e), ERR_UNAVAILABLE);
        cJSON_Delete(body);
        int64_t end = clock_now_ms() + 2000;
        while (!service_drained(s)) {
                assert_true(clock_now_ms() < end);
                turn(s);
        }
        assert_int_equal(state_of(s, id), JOB_QUEUED);
        service_destroy(s);
        s = start(*state);
        wait_state(s, id, JOB_SUCCEEDED);
        check_undisturbed(s, *state, id, 400);
        service_destroy(s);
}

static void the_same_key_is_the_same_job(void **state)
{
        struct service *s = start(*state);
        struct err e;
        static const char text[] = JOB("it", "\"epochs\":1");
        cJSON *body = json_parse(text, sizeof text - 1, &e);
        int64_t first, second, other, count[JOB_STATES];
        bool again;
        CHECK_OK(jobs_submit(s->jobs, "anna", "k1", body, &first, &again, &e), &e);
        assert_false(again);
        CHECK_OK(jobs_submit(s->jobs, "anna", "k1", body, &second, &again, &e), &e);
        assert_true(again && first == second);
        CHECK_OK(jobs_submit(s->jobs, "bert", "k1", body, &other, &again, &e), &e);
        assert_true(!again && other != first);
        cJSON_Delete(body);
        CHECK_OK(jobs_count(s->jobs, count, &e), &e);
        assert_int_equal(count[JOB_QUEUED] + count[JOB_RUNNING], 2);
        const struct jobs_filter f = {.state = -1, .user = "bert", .limit = 10};
        cJSON *list = NULL;
        CHECK_OK(jobs_list(s->jobs, &f, &list, &e), &e);
        assert_int_equal(cJSON_GetArraySize(list), 1);
        cJSON_Delete(list);
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
                {JOB("x", "\"epochs\":0"), "/epochs", ERR_INVALID},
                {JOB("x", "\"epochs\":1,\"colour\":1"), "/colour", ERR_INVALID},
                {JOB("x", "\"epochs\":1,\"save_as\":\"../x\""), "/save_as", ERR_INVALID},
                {JOB("x", "\"epochs\":1,\"init\":{\"from\":\"none\"}"), "/init/from", ERR_INVALID},
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
        struct service *s = start(*state);
        int64_t count[JOB_STATES], id = 0;
        struct err e;
        for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
                bool again;
                cJSON *body = json_parse(wrong[i].body, strlen(wrong[i].body), &e);
                assert_non_null(body);
                int rc = jobs_submit(s->jobs, "anna", NULL, body, &id, &again, &e);
                if (rc != wrong[i].code || strcmp(e.pointer, wrong[i].pointer) != 0)
                        fail_msg("%s: %d %s at %s", wrong[i].body, rc, e.message, e.pointer);
                cJSON_Delete(body);
        }
        CHECK_OK(jobs_count(s->jobs, count, &e), &e);
        for (int i = 0; i < JOB_STATES; i++)
                assert_int_equal(count[i], 0);
        service_destroy(s);
}

struct answer {
        cJSON *result;
        struct err error;
        bool done;
};

static void classified(void *ctx, cJSON *result, const struct err *e)
{
        struct answer *a = ctx;
        assert_false(a->done);
        a->done = true;
        a->result = result;
        a->error = e ? *e : (struct err){0};
}

static int classify(struct service *s, const char *body, size_t len, struct answer *a)
{
        int64_t ticket, end = clock_now_ms() + LONG_MS;
        struct err e;
        *a = (struct answer){0};
        CHECK_OK(classify_start(s->classify, "it", body, len, NULL, 2, classified, a, &ticket, &e), &e);
        assert_false(a->done);
        while (!a->done) {
                assert_true(clock_now_ms() < end);
                turn(s);
        }
        return a->error.code;
}

static void a_job_succeeds_and_its_model_classifies(void **state)
{
        struct service *s = start(*state);
        struct err e;
        struct answer a;
        cJSON *model = NULL;
        int64_t id = submit(s, JOB("it", "\"epochs\":2,\"save_as\":\"it\"")), ticket;
        wait_state(s, id, JOB_SUCCEEDED);
        CHECK_OK(models_get(s->models, "it", &model, &e), &e);
        assert_int_equal(json_field(model, "job")->valuedouble, id);
        assert_float_equal(
                (float)json_field(json_field(model, "metrics"), "train_loss")->valuedouble, 0.25f, 1e-6);
        cJSON_Delete(model);
        static const char image[] = "P5 2 2 255\n\x4D\x4D\x4D\x4D", bad[] = "P5 2 2 255\n\x4D";
        /* While a long job trains, too. */
        int64_t busy = submit(s, JOB("busy", "\"epochs\":100"));
        wait_step(s, busy, 3);
        assert_int_equal(classify(s, image, sizeof image - 1, &a), 0);
        const cJSON *best = cJSON_GetArrayItem(
                json_field(cJSON_GetArrayItem(json_field(a.result, "results"), 0), "predictions"), 0);
        assert_string_equal(json_field(best, "label")->valuestring, "d");
        assert_float_equal((float)json_field(best, "probability")->valuedouble, 0.450853f, 1e-5);
        cJSON_Delete(a.result);
        assert_int_equal(classify(s, bad, sizeof bad - 1, &a), ERR_SYNTAX);
        assert_int_equal(classify(s, "hello", 5, &a), ERR_MEDIA);
        assert_int_equal(classify_start(s->classify, "none", "x", 1, NULL, 2, classified, &a, &ticket, &e),
                ERR_NOT_FOUND);
        /* A caller that went away is not called. */
        a = (struct answer){0};
        CHECK_OK(classify_start(
                         s->classify, "it", image, sizeof image - 1, NULL, 2, classified, &a, &ticket, &e),
                &e);
        classify_cancel(s->classify, ticket);
        CHECK_OK(jobs_cancel(s->jobs, busy, &e), &e);
        wait_state(s, busy, JOB_CANCELLED);
        assert_false(a.done);
        service_destroy(s);
}

static void an_image_that_kills_the_worker(void **state)
{
        struct service *s = start(*state);
        struct answer a;
        static const char poison[] = "P5 2 2 255\n\xFF\xFF\xFF\xFF", image[] = "P5 2 2 255\n\x4D\x4D\x4D\x4D";
        wait_state(s, submit(s, JOB("it", "\"epochs\":2,\"save_as\":\"it\"")), JOB_SUCCEEDED);
        assert_int_equal(classify(s, poison, sizeof poison - 1, &a), ERR_UNAVAILABLE);
        assert_int_equal(classify(s, image, sizeof image - 1, &a), 0);
        cJSON_Delete(a.result);
        service_destroy(s);
}

static void classify_jobs_have_results(void **state)
{
        struct service *s = start(*state);
        struct err e;
        char *text = NULL;
        int64_t id = submit(s, JOB("it", "\"epochs\":2,\"save_as\":\"it\""));
        wait_state(s, id, JOB_SUCCEEDED);
        assert_int_equal(jobs_result(s->jobs, id, &text, &e), ERR_STATE);
        id = submit(s, "{\"type\":\"classify\",\"model\":\"it\",\"dataset\":\"tiny\"}");
        wait_state(s, id, JOB_SUCCEEDED);
        CHECK_OK(jobs_result(s->jobs, id, &text, &e), &e);
        cJSON *result = json_parse(text, strlen(text), &e);
        assert_non_null(result);
        assert_int_equal(json_field(result, "count")->valueint, IMAGES);
        assert_float_equal((float)json_field(result, "accuracy")->valuedouble, 1.0f, 1e-6);
        assert_int_equal(
                cJSON_GetArrayItem(cJSON_GetArrayItem(json_field(result, "confusion"), 3), 3)->valueint, 5);
        assert_int_equal(cJSON_GetArraySize(json_field(result, "predictions")), IMAGES);
        cJSON_Delete(result);
        free(text);
        service_destroy(s);
}

static void a_failed_job_says_why(void **state)
{
        struct service *s = start(*state);
        int64_t id = submit(s, JOB("fail 5", "\"epochs\":1"));
        wait_state(s, id, JOB_FAILED);
        cJSON *job = get(s, id);
        assert_non_null(strstr(json_field(job, "error")->valuestring, "smaller learning rate"));
        cJSON_Delete(job);
        assert_int_equal(supervisor_state(s->supervisor, 0), DEVICE_READY);
        service_destroy(s);
}

static void a_second_front_is_refused(void **state)
{
        struct service *s = start(*state), *second = NULL;
        const struct service_options o = {
                .state_dir = *state, .device_spec = "all", .log_level = "error", .watchdog_seconds = 60};
        struct err e;
        assert_int_equal(service_create(&o, &second, &e), ERR_STATE);
        service_destroy(s);
}

static void workers_die_with_the_front(void **state)
{
        int fds[2];
        pid_t worker = 0;
        assert_int_equal(pipe(fds), 0);
        pid_t front = fork();
        if (front == 0) {
                struct service *s = start(*state);
                pid_t pid = worker_of(s, 0);
                if (write(fds[1], &pid, sizeof pid) != sizeof pid)
                        _exit(1);
                raise(SIGKILL);
        }
        waitpid(front, NULL, 0);
        assert_int_equal(read(fds[0], &worker, sizeof worker), sizeof worker);
        close(fds[0]);
        close(fds[1]);
        int64_t end = clock_now_ms() + 2000;
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

static void a_model_without_its_row_comes_back(void **state)
{
        struct service *s = start(*state);
        struct err e;
        char from[200], to[200];
        cJSON *model = NULL;
        wait_state(s, submit(s, JOB("it", "\"epochs\":2,\"save_as\":\"it\"")), JOB_SUCCEEDED);
        service_destroy(s);
        snprintf(from, sizeof from, "%s/models/it.safetensors", (char *)*state);
        snprintf(to, sizeof to, "%s/models/other.safetensors", (char *)*state);
        assert_int_equal(rename(from, to), 0);
        s = start(*state);
        assert_false(models_exists(s->models, "it"));
        CHECK_OK(models_get(s->models, "other", &model, &e), &e);
        cJSON_Delete(model);
        CHECK_OK(models_delete(s->models, "other", &e), &e);
        assert_int_equal(models_delete(s->models, "other", &e), ERR_NOT_FOUND);
        service_destroy(s);
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_state, drop_state)

int main(int argc, char **argv)
{
        if (role_requested(argc, argv))
                return role_main(argc, argv);
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_state_table),
                TEST(a_job_succeeds_and_its_model_classifies),
                TEST(a_failed_job_says_why),
                TEST(wrong_submissions_store_nothing),
                TEST(the_same_key_is_the_same_job),
                TEST(classify_jobs_have_results),
                TEST(pause_resume_cancel),
                TEST(draining_keeps_jobs),
                TEST(a_killed_worker_changes_nothing),
                TEST(a_killed_front_changes_nothing),
                TEST(a_cancel_outlives_the_front),
                TEST(workers_die_with_the_front),
                TEST(a_hanging_kernel_is_ended),
                TEST(three_deaths_in_a_row_quarantine_the_device),
                TEST(deaths_with_progress_between_do_not),
                TEST(another_device_takes_the_job),
                TEST(an_image_that_kills_the_worker),
                TEST(a_model_without_its_row_comes_back),
                TEST(a_second_front_is_refused),
        };
        if (argc > 1)
                cmocka_set_test_filter(argv[1]);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
