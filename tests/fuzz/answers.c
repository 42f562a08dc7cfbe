#include "answers.h"

#include "base/asan.h"
#include "base/json.h"
#include "base/log.h"
#include "daemon/common/children.h"
#include "daemon/decoder/decoder_role.h"
#include "daemon/worker/engine.h"
#include "daemon/decoder/import_role.h"
#include "daemon/decoder/sandbox.h"
#include "daemon/common/wire.h"
#include "daemon/worker/worker.h"
#include "fuzz.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

/* A run that has told of so much has shown what it is. */
enum { MAX_EVENTS = 40 };

enum role { NONE, WORKER, DECODER, IMPORT };

static struct {
        enum role role; /* in hand, in the fuzzer's own thread */
        jmp_buf out;    /* of the worker */
        int status;     /* it ended with */
        bool complained;
        struct engine *engine;
        /* Of decoder and import: */
        char *due; /* owned: "request" of the message that has no answer yet, "null" for none */
        bool owing;
        /* Of the worker, under `lock`: */
        pthread_mutex_t lock;
        pthread_cond_t told;
        int jobs, requests; /* without an answer */
        int events;         /* of the job in hand */
        bool dropped, idle;
} now = {.lock = PTHREAD_MUTEX_INITIALIZER, .told = PTHREAD_COND_INITIALIZER};

/* Keeps descriptor CHILD_FD free of everything that is opened later. */
__attribute__((constructor)) static void reserve(void)
{
        int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
        if (fd == CHILD_FD)
                return;
        dup2(fd, CHILD_FD);
        close(fd);
}

/* --- what was said --- */

static size_t count_of(const cJSON *head, const char *key)
{
        int64_t n = wire_int(head, key);
        FUZZ_CHECK(n >= 1);
        return (size_t)n;
}

static void check_error(const cJSON *head, const char *key)
{
        struct err e = {0};
        const cJSON *error = json_field(head, key);
        FUZZ_CHECK(cJSON_IsObject(error));
        const int code = wire_error_read(error, &e);
        if (code == ERR_NO_MEMORY || code == ERR_DEVICE_MEMORY || !e.message[0])
                fprintf(stderr, "%s: '%s'\n", err_name(code), e.message);
        FUZZ_CHECK(code < 0 && code == (int)wire_int(error, "code") && e.message[0]);
        FUZZ_CHECK(code != ERR_NO_MEMORY && code != ERR_DEVICE_MEMORY);
}

/* It goes to a client as it is. */
static void check_json(const void *text, size_t len)
{
        struct err e = {0};
        cJSON *tree = json_parse(text, len, &e);
        if (!tree)
                fprintf(stderr, "%s: %.*s\n", e.message, (int)len, (const char *)text);
        FUZZ_CHECK(tree);
        cJSON_Delete(tree);
}

static void check_map(const void *raw, size_t len)
{
        FUZZ_CHECK(len > 8);
        if (memcmp(raw, "\x89PNG", 4) != 0)
                check_json(raw, len);
}

static void check_size(const char *op, const cJSON *head, const void *raw, size_t len)
{
        if (strcmp(op, "classified") == 0)
                FUZZ_CHECK(len == count_of(head, "n") * count_of(head, "classes") * sizeof(float));
        else if (strcmp(op, "looked") == 0)
                FUZZ_CHECK(len > 8 && memcmp(raw, "\x89PNG", 4) == 0);
        else if (strcmp(op, "mapped") == 0)
                check_map(raw, len);
        else
                FUZZ_CHECK(len == 0);
}

/* The job that a message is of has its end. */
static void end_job(const cJSON *head)
{
        FUZZ_CHECK(cJSON_IsNumber(json_field(head, "job")));
        pthread_mutex_lock(&now.lock);
        FUZZ_CHECK(now.jobs-- > 0);
        now.events = 0;
        pthread_cond_signal(&now.told);
        pthread_mutex_unlock(&now.lock);
}

static void end_request(const cJSON *head)
{
        const bool mark = wire_int(head, "request") == ANSWERS_MARK;
        pthread_mutex_lock(&now.lock);
        FUZZ_CHECK(mark || now.requests-- > 0);
        now.idle = now.idle || mark;
        pthread_cond_signal(&now.told);
        pthread_mutex_unlock(&now.lock);
}

static void post(cJSON *head)
{
        struct err e;
        struct chan_message m = {.head = head};
        FUZZ_CHECK(head && engine_post(now.engine, &m, &e) == 0);
        chan_message_finish(&m);
}

static cJSON *numbered(const char *op, const char *key, int64_t id)
{
        cJSON *head = cJSON_CreateObject();
        cJSON_AddStringToObject(head, "op", op);
        cJSON_AddNumberToObject(head, key, (double)id);
        return head;
}

static int hear_event(const cJSON *head, struct err *e)
{
        const char *data = wire_text(head, "data");
        FUZZ_CHECK(wire_text(head, "event")[0]);
        check_json(data, strlen(data));
        pthread_mutex_lock(&now.lock);
        const bool enough = ++now.events > MAX_EVENTS;
        pthread_mutex_unlock(&now.lock);
        return enough ? err_set(e, ERR_CLOSED, "enough events") : 0;
}

static bool is_one_of(const char *op, const char *const *known)
{
        while (*known && strcmp(op, *known) != 0)
                known++;
        return *known;
}

/* The engine's thread; a heartbeat comes from the worker's own. */
static int hear_worker(void *ctx, const cJSON *head, const void *raw, size_t raw_len, struct err *e)
{
        static const char *const of_job[] = {"done", "job_failed", NULL}, *const of_request[] = {"classified",
                                                                                  "looked", "mapped",
                                                                                  "classify_failed", NULL};
        const char *op = wire_text(head, "op");
        (void)ctx;
        if (strcmp(op, "event") == 0)
                return hear_event(head, e);
        check_size(op, head, raw, raw_len);
        if (strcmp(op, "job_failed") == 0 || strcmp(op, "classify_failed") == 0)
                check_error(head, "error");
        if (strcmp(op, "sync") == 0)
                post(numbered("synced", "mark", wire_int(head, "mark")));
        else if (is_one_of(op, of_job))
                end_job(head);
        else if (is_one_of(op, of_request))
                end_request(head);
        else
                FUZZ_CHECK(strcmp(op, "hello") == 0 || strcmp(op, "heartbeat") == 0);
        return 0;
}

/* Decoder and import answer before they take the next message. */
static void hear_other(const cJSON *head)
{
        if (strcmp(wire_text(head, "op"), "progress") == 0)
                return;
        const cJSON *request = json_field(head, "request");
        FUZZ_CHECK(now.owing);
        if (now.role == DECODER) {
                char *text = json_text(request);
                FUZZ_CHECK(text && strcmp(text, now.due) == 0);
                free(text);
        }
        if (json_field(head, "error"))
                check_error(head, "error");
        now.owing = false;
}

/* --- wrapped calls --- */

int __real_chan_receive(int fd, struct chan_message *ret, struct err *e);
int __wrap_chan_receive(int fd, struct chan_message *ret, struct err *e);
int __wrap_chan_receive(int fd, struct chan_message *ret, struct err *e)
{
        int rc = __real_chan_receive(fd, ret, e);
        FUZZ_CHECK(rc == 0 || (rc == e->code && e->message[0]));
        if (rc || now.role == WORKER)
                return rc;
        FUZZ_CHECK(!now.owing);
        now.owing = true;
        free(now.due);
        now.due = json_field(ret->head, "request") ? json_text(json_field(ret->head, "request"))
                                                   : strdup("null");
        FUZZ_CHECK(now.due);
        return 0;
}

int __wrap_chan_send(int fd, const cJSON *head, const void *raw, size_t raw_len, struct err *e);
int __wrap_chan_send(int fd, const cJSON *head, const void *raw, size_t raw_len, struct err *e)
{
        char *text = json_text(head);
        FUZZ_CHECK(fd == CHILD_FD && text && (raw || raw_len == 0));
        check_json(text, strlen(text));
        free(text);
        if (now.role == WORKER)
                return hear_worker(NULL, head, raw, raw_len, e);
        hear_other(head);
        return 0;
}

/* One engine for all workers. */
int __real_engine_start(const struct engine_options *o, struct engine **ret, struct err *e);
int __wrap_engine_start(const struct engine_options *o, struct engine **ret, struct err *e);
int __wrap_engine_start(const struct engine_options *o, struct engine **ret, struct err *e)
{
        const struct engine_options mine = {
                .device = o->device, .state_dir = o->state_dir, .voice.send = hear_worker};
        int rc = now.engine ? 0 : __real_engine_start(&mine, &now.engine, e);
        *ret = now.engine;
        return rc;
}

/* What a command leaves to be answered is noted before the engine can answer. */
static void expect(const char *op, int64_t number, int by)
{
        const bool job = strcmp(op, "train") == 0 || strcmp(op, "evaluate") == 0,
                   request = strcmp(op, "classify") == 0 || strcmp(op, "look") == 0 || strcmp(op, "map") == 0;
        pthread_mutex_lock(&now.lock);
        now.jobs += job ? by : 0;
        now.requests += request && number != ANSWERS_MARK ? by : 0;
        now.dropped = now.dropped || strcmp(op, "drop") == 0;
        pthread_mutex_unlock(&now.lock);
}

int __real_engine_post(struct engine *en, struct chan_message *m, struct err *e);
int __wrap_engine_post(struct engine *en, struct chan_message *m, struct err *e);
int __wrap_engine_post(struct engine *en, struct chan_message *m, struct err *e)
{
        char op[20];
        snprintf(op, sizeof op, "%s", wire_text(m->head, "op"));
        const int64_t request = wire_int(m->head, "request");
        expect(op, request, 1);
        int rc = __real_engine_post(en, m, e);
        FUZZ_CHECK(rc == 0 || (rc == e->code && e->message[0]));
        if (rc)
                expect(op, request, -1);
        return rc;
}

void __real__exit(int status) __attribute__((noreturn));
void __wrap__exit(int status) __attribute__((noreturn));
void __wrap__exit(int status)
{
        if (now.role != WORKER)
                __real__exit(status);
        now.status = status;
        longjmp(now.out, 1);
}

void __wrap_log_line(int level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void __wrap_log_line(int level, const char *fmt, ...)
{
        char line[2000];
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(line, sizeof line, fmt, ap);
        va_end(ap);
        now.complained = now.complained || (level == LOG_ERROR && line[0]);
}

int __wrap_sandbox_enter(const struct sandbox_options *o, struct err *e);
int __wrap_sandbox_enter(const struct sandbox_options *o, struct err *e)
{
        (void)o;
        (void)e;
        return 0;
}

int __wrap_sandbox_allow_cpu(int seconds, struct err *e);
int __wrap_sandbox_allow_cpu(int seconds, struct err *e)
{
        (void)seconds;
        (void)e;
        return 0;
}

int __wrap_nice(int by);
int __wrap_nice(int by)
{
        return by;
}

#ifdef ASAN_BUILD
/* A role looks for leaks after each message; the fuzzer looks itself. */
int __real___lsan_do_recoverable_leak_check(void);
int __wrap___lsan_do_recoverable_leak_check(void);
int __wrap___lsan_do_recoverable_leak_check(void)
{
        return now.role == NONE ? __real___lsan_do_recoverable_leak_check() : 0;
}
#endif

/* --- roles --- */

static void take(enum role role, int fd)
{
        FUZZ_CHECK(dup2(fd, CHILD_FD) == CHILD_FD);
        now.role = role;
        now.complained = false;
}

static void leave(void)
{
        now.role = NONE;
        close(CHILD_FD);
        reserve();
        free(now.due);
        now.due = NULL;
}

/* A job comes behind all requests and jobs before it, and a map behind all maps. */
static void wait_until_idle(void)
{
        post(numbered("evaluate", "job", ANSWERS_MARK));
        post(numbered("map", "request", ANSWERS_MARK));
        pthread_mutex_lock(&now.lock);
        while (!now.idle || now.jobs > 0)
                pthread_cond_wait(&now.told, &now.lock);
        FUZZ_CHECK(now.requests == 0 || now.dropped);
        now.requests = 0;
        now.idle = now.dropped = false;
        pthread_mutex_unlock(&now.lock);
}

void answers_of_worker(int fd, const char *dir)
{
        struct err e = {0};
        take(WORKER, fd);
        if (setjmp(now.out) == 0) {
                worker_main("0:0", "", dir, &e);
                fprintf(stderr, "the worker did not start: %s\n", e.message);
                FUZZ_CHECK(false);
        }
        FUZZ_CHECK(now.status == 0 || now.complained);
        wait_until_idle();
        leave();
}

static void end_other(int rc, const struct err *e)
{
        FUZZ_CHECK(!now.owing && (rc == 0 || (rc == e->code && e->message[0])));
        leave();
}

void answers_of_decoder(int fd, const char *dir)
{
        struct err e = {0};
        take(DECODER, fd);
        int rc = decoder_role_run(dir, &e);
        end_other(rc, &e);
}

void answers_of_import(int fd, const char *dir)
{
        struct err e = {0};
        take(IMPORT, fd);
        int rc = import_role_run(dir, &e);
        end_other(rc, &e);
}
