#include "front.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "daemon/decoder/modelcheck.h"
#include "data/dataset.h"

#include <poll.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CLASSES = 10 };

const struct identity front_anna = {.user = "anna"}, front_bert = {.user = "bert"};
double front_slice_seconds = 60;
struct quota_limits front_limits;
struct batch_options front_batch = {.window_us = 500, .max_images = 64};

/* In place of the real one, which would link the whole engine: what is sent with overrides is a model. */
int modelcheck_file(const char *path, const cJSON *overrides, cJSON **ret, struct err *e)
{
        if (!overrides)
                return err_set(e, ERR_INVALID, "%s is no model", path);
        *ret = cJSON_CreateObject();
        return *ret ? 0 : err_set(e, ERR_NO_MEMORY, "no memory for a model");
}

static void write_dataset(const char *state)
{
        static const char *const names[CLASSES] = {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"};
        uint8_t images[FRONT_IMAGES * 4];
        int32_t labels[FRONT_IMAGES];
        char path[200];
        struct err e;
        struct dataset d = {.name = "tiny", .c = 1, .h = 2, .w = 2, .num_classes = CLASSES};
        for (int i = 0; i < FRONT_IMAGES; i++) {
                labels[i] = i % 9;
                memset(images + 4 * i, (i % 9) * 255 / 10 + 1, 4);
        }
        d.classes = (char **)(uintptr_t)names;
        for (int s = 0; s < DATASET_SPLITS; s++) {
                d.split[s].count = FRONT_IMAGES;
                d.split[s].images = images;
                d.split[s].labels = labels;
        }
        snprintf(path, sizeof path, "%s/datasets", state);
        mkdir(path, 0700);
        snprintf(path, sizeof path, "%s/datasets/tiny.cnnd", state);
        CHECK_OK(dataset_write(&d, path, &e), &e);
}

/* Everybody's jobs may name it. */
static void share_dataset(const char *state)
{
        struct store *store = NULL;
        struct err e;
        char path[200];
        snprintf(path, sizeof path, "%s/cnnd.db", state);
        CHECK_OK(store_open(path, &store, &e), &e);
        CHECK_OK(datasets_settle(state, store, "tiny", "", &e), &e);
        store_close(store);
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

int front_make_state(void **state)
{
        char *dir = strdup("/tmp/cnnd-test-XXXXXX");
        unsetenv("CNND_TEST_HANG_FILE");
        unsetenv("CNND_FAKE_DEVICES");
        unsetenv("CNND_FAKE_GPU");
        unsetenv("CNND_FAKE_ROOM");
        setenv("CNND_FAKE_STEP_MS", "1", 1);
        setenv("OCL_ICD_VENDORS", "/nonexistent", 1); /* the machine's own drivers are no part of it */
        if (!dir || !mkdtemp(dir))
                return -1;
        write_dataset(dir);
        share_dataset(dir);
        *state = dir;
        return 0;
}

int front_drop_state(void **state)
{
        remove_tree(*state);
        free(*state);
        return 0;
}

void front_unmount(const char *state, const char *name, bool empty)
{
        char path[200], away[200];
        snprintf(path, sizeof path, "%s/%s", state, name);
        snprintf(away, sizeof away, "%s/%s.away", state, name);
        assert_int_equal(rename(path, away), 0);
        if (empty)
                assert_int_equal(mkdir(path, 0700), 0);
        else
                assert_int_equal(symlink("nowhere", path), 0);
}

void front_mount(const char *state, const char *name)
{
        char path[200], away[200];
        snprintf(path, sizeof path, "%s/%s", state, name);
        snprintf(away, sizeof away, "%s/%s.away", state, name);
        assert_int_equal(remove(path), 0);
        assert_int_equal(rename(away, path), 0);
}

void front_write_set(const char *path, const char *name, int train, int val)
{
        static uint8_t images[100 * 4];
        static int32_t labels[100];
        char class_name[] = "a", *classes[] = {class_name};
        struct err e;
        struct dataset d = {.c = 1, .h = 2, .w = 2, .num_classes = 1, .classes = classes};
        snprintf(d.name, sizeof d.name, "%s", name);
        for (int i = 0; i < DATASET_SPLITS; i++) {
                d.split[i].count = i == DATASET_TRAIN ? train : val;
                d.split[i].images = images;
                d.split[i].labels = labels;
        }
        CHECK_OK(dataset_write(&d, path, &e), &e);
}

struct service *front_open(const char *state, double watchdog)
{
        const struct service_options o = {.state_dir = state,
                .device_spec = "all",
                .log_level = getenv("CNND_TEST_LOG") ? "debug" : "error",
                .watchdog_seconds = watchdog,
                .slice_seconds = front_slice_seconds,
                .half_life_seconds = 86400,
                .limits = front_limits,
                .batch = front_batch,
                .checkpoint_seconds = 30};
        struct service *s = NULL;
        struct err e;
        CHECK_OK(service_create(&o, &s, &e), &e);
        return s;
}

void front_turn(struct service *s)
{
        int64_t wait = service_timeout_us(s);
        struct pollfd p = {.fd = service_fd(s), .events = POLLIN};
        poll(&p, 1, wait < 0 || wait > 50000 ? 50 : (int)((wait + 999) / 1000));
        service_run(s);
}

struct service *front_start(const char *state)
{
        struct service *s = front_open(state, 60);
        struct err e;
        int64_t end = clock_now_ms() + FRONT_LONG_MS;
        while (service_health(s, &e))
                if (clock_now_ms() > end)
                        fail_msg("not healthy: %s", e.message);
                else
                        front_turn(s);
        return s;
}

int64_t front_submit(struct service *s, const char *text)
{
        return front_submit_as(s, &front_anna, text);
}

int64_t front_submit_as(struct service *s, const struct identity *who, const char *text)
{
        struct err e = {0};
        int64_t id = 0;
        bool again;
        cJSON *body = json_parse(text, strlen(text), &e);
        CHECK_OK(body ? 0 : e.code, &e);
        CHECK_OK(jobs_submit(s->jobs, who, NULL, body, &id, &again, &e), &e);
        cJSON_Delete(body);
        return id;
}

cJSON *front_job(struct service *s, int64_t id)
{
        struct err e;
        cJSON *job = NULL;
        CHECK_OK(jobs_get(s->jobs, id, &job, &e), &e);
        return job;
}

enum job_state front_state(struct service *s, int64_t id)
{
        cJSON *job = front_job(s, id);
        int state = job_state_parse(json_field(job, "state")->valuestring);
        cJSON_Delete(job);
        return (enum job_state)state;
}

char *front_result(struct service *s, int64_t id)
{
        uint64_t size = 0;
        int fd = -1;
        struct err e;
        CHECK_OK(jobs_result(s->jobs, id, &fd, &size, &e), &e);
        char *text = calloc(1, (size_t)size + 1);
        assert_non_null(text);
        CHECK_OK(file_piece(fd, "the result", 0, text, (size_t)size, &e), &e);
        close(fd);
        return text;
}

int64_t front_step(struct service *s, int64_t id)
{
        cJSON *job = front_job(s, id);
        double step = json_field(json_field(job, "progress"), "step")->valuedouble;
        cJSON_Delete(job);
        return (int64_t)step;
}

void front_wait_state(struct service *s, int64_t id, enum job_state want)
{
        int64_t end = clock_now_ms() + FRONT_LONG_MS;
        while (front_state(s, id) != want) {
                if (clock_now_ms() > end ||
                        (job_state_final(front_state(s, id)) && front_state(s, id) != want)) {
                        cJSON *job = front_job(s, id);
                        char *text = json_text(job);
                        fail_msg("waited for %s: %s", job_state_name(want), text);
                }
                front_turn(s);
        }
}

void front_wait_step(struct service *s, int64_t id, int64_t step)
{
        int64_t end = clock_now_ms() + FRONT_LONG_MS;
        while (front_step(s, id) < step) {
                assert_true(clock_now_ms() < end);
                front_turn(s);
        }
}

pid_t front_worker(struct service *s, int device)
{
        cJSON *list = supervisor_json(s->supervisor);
        const cJSON *pid = json_field(cJSON_GetArrayItem(list, device), "worker_pid");
        pid_t ret = cJSON_IsNumber(pid) ? (pid_t)pid->valueint : 0;
        cJSON_Delete(list);
        return ret;
}

/* The job's train and validation events as text, checked: ids count by one, steps of trains too. */
struct replay {
        char *text;
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

void front_same_model(const char *state, const char *a, const char *b)
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
void front_check_undisturbed(struct service *s, const char *state, int64_t id, int64_t steps)
{
        int64_t calm = front_submit(s, FRONT_JOB("calm", "\"epochs\":20,\"save_as\":\"calm\""));
        front_wait_state(s, calm, JOB_SUCCEEDED);
        char *a = curve(s, calm, steps), *b = curve(s, id, steps);
        assert_string_equal(a, b);
        free(a);
        free(b);
        front_same_model(state, "calm", "it");
}

void front_classified(void *ctx, struct str *body, const struct err *e)
{
        struct front_answer *a = ctx;
        assert_false(a->done);
        a->done = true;
        a->result = body ? json_parse(body->data, body->len, NULL) : NULL;
        a->error = e ? *e : (struct err){0};
}

static void visited(void *ctx, struct str *body, const struct err *e)
{
        front_classified(&((struct front_visitor *)ctx)->answer, body, e);
}

static bool visitor_left(void *ctx)
{
        return ((struct front_visitor *)ctx)->left;
}

struct classify_caller front_caller(const struct identity *who, struct front_visitor *v)
{
        return (struct classify_caller){.who = *who, .ctx = v, .done = visited, .gone = visitor_left};
}

int front_classify(struct service *s, const char *body, size_t len, struct front_answer *a)
{
        const struct classify_caller caller = {.ctx = a, .done = front_classified};
        int64_t end = clock_now_ms() + FRONT_LONG_MS;
        struct err e;
        *a = (struct front_answer){0};
        CHECK_OK(classify_start(s->classify, "it", body, len, NULL, 2, &caller, &e), &e);
        assert_false(a->done);
        while (!a->done) {
                assert_true(clock_now_ms() < end);
                front_turn(s);
        }
        return a->error.code;
}
