/* A test as its own daemon: it plays the front on an engine without a device (fake_engine.c), and is started
   again for the roles of the children. Whatever fails, fails the test. */
#ifndef CNND_FRONT_H
#define CNND_FRONT_H

#include "check.h"

#include "base/asan.h"
#include "daemon/api/service.h"
#include "daemon/role.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* The data set "tiny": images of a split. */
enum { FRONT_IMAGES = 40 };

/* How long anything may take, on any machine: what comes is never waited for as long. */
enum { FRONT_LONG_MS = 1200000 };

/* A request that trains on "tiny", 20 steps an epoch; `more` are its further fields. */
#define FRONT_JOB(name, more)                                                                                \
        "{\"type\":\"train\",\"name\":\"" name                                                               \
        "\",\"architecture\":\"lenet\",\"dataset\":\"tiny\",\"batch_size\":2,"                               \
        "\"optimizer\":{\"name\":\"sgd\",\"lr\":0.1},\"seed\":7," more "}"

/* Two users. */
extern const struct identity front_anna, front_bert;
/* Of the services that are opened from now on; 60. */
extern double front_slice_seconds;
/* Of the same, each user's; none. */
extern struct quota_limits front_limits;
/* Of the same; 500 us, 64 images. */
extern struct batch_options front_batch;

/* Set-up and tear-down: *state is a state folder with the data set in it. */
int front_make_state(void **state);
int front_drop_state(void **state);

#define FRONT_TEST(name) cmocka_unit_test_setup_teardown(name, front_make_state, front_drop_state)
/* The program: these tests, those alone that an argument names, or a child's role. */
#define FRONT_MAIN(...)                                                                                      \
        int main(int argc, char **argv)                                                                      \
        {                                                                                                    \
                const struct CMUnitTest tests[] = {__VA_ARGS__};                                             \
                if (role_requested(argc, argv))                                                              \
                        return role_main(argc, argv);                                                        \
                if (argc > 1)                                                                                \
                        cmocka_set_test_filter(argv[1]);                                                     \
                return cmocka_run_group_tests(tests, NULL, NULL);                                            \
        }

/* An empty folder, or none, stands where STATE/NAME stood; and that comes back. */
void front_unmount(const char *state, const char *name, bool empty);
void front_mount(const char *state, const char *name);

/* A data set of one class, `train` and `val` black images of 2x2, 100 at most. */
void front_write_set(const char *path, const char *name, int train, int val);

struct service *front_open(const char *state, double watchdog_seconds);
/* The same, with 60 s, and waits until it is healthy. The caller calls service_destroy. */
struct service *front_start(const char *state);
/* Waits for something to do, 50 ms at most, and does it. */
void front_turn(struct service *s);

/* The job's id; anna's, or somebody's. */
int64_t front_submit(struct service *s, const char *text);
int64_t front_submit_as(struct service *s, const struct identity *who, const char *text);
/* The job object; the caller's. */
cJSON *front_job(struct service *s, int64_t id);
enum job_state front_state(struct service *s, int64_t id);
/* The text of a classify job's result; the caller frees it. */
char *front_result(struct service *s, int64_t id);
void front_wait_state(struct service *s, int64_t id, enum job_state want);
/* The last step that was told of. */
int64_t front_step(struct service *s, int64_t id);
void front_wait_step(struct service *s, int64_t id, int64_t step);
/* The process of a device's worker, 0 where there is none. */
pid_t front_worker(struct service *s, int device);
/* The ended job `id` of 20 epochs saved as "it": its curve and its model are those of an undisturbed run. */
void front_check_undisturbed(struct service *s, const char *state, int64_t id, int64_t steps);
/* Both models have one file's bytes. */
void front_same_model(const char *state, const char *a, const char *b);

struct front_answer {
        cJSON *result; /* the test's */
        struct err error;
        bool done;
};
/* A classify_done whose context is a struct front_answer. */
void front_classified(void *ctx, struct str *body, const struct err *e);
/* One who may leave, as the context of a caller. */
struct front_visitor {
        struct front_answer answer;
        bool left;
};
struct classify_caller front_caller(const struct identity *who, struct front_visitor *v);
/* Classifies by the model "it" and waits for the answer; its error code. */
int front_classify(struct service *s, const char *body, size_t len, struct front_answer *a);

#endif
