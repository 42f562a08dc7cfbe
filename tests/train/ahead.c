/* Where steps are short a GPU has the next one before it is done with the last: on a device that says it is
   one (tests/card.c), with a driver that fails on demand (tests/daemon/faults.c). */
#include "trainer.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define JOB                                                                                                  \
        "{\"type\":\"train\",\"architecture\":{\"layers\":[{\"type\":\"flatten\"},"                          \
        "{\"type\":\"linear\",\"out_features\":5}]},\"dataset\":\"noise\",\"epochs\":40,\"batch_size\":8,"   \
        "\"optimizer\":{\"name\":\"sgd\",\"lr\":0.05},\"seed\":5,\"report_every\":1000}"

/* As faults.c has them. */
enum { NDRANGE = 20, KIND_LATE = 2, OUT_OF_RESOURCES = -5, PLAN_BYTES = 32 + 64 * 52 };
enum { CALL, KIND, STATUS, FIRST, TIMES, MIN_BYTES, SEEN, HITS };
static int32_t *plan;

struct watch {
        int asked, between, failed_asked, failed_between; /* counts; the last two since a launch failed */
        int fail_at;                                      /* `asked`, from where one fails */
        bool always;                                      /* somebody asks once one failed */
};

static int on_event(void *ctx, const char *event, const char *data, struct err *e)
{
        (void)ctx, (void)event, (void)data, (void)e;
        return 0;
}

static enum train_want on_between(void *ctx)
{
        struct watch *w = ctx;
        w->between++;
        w->failed_between += plan[HITS] > 0;
        return TRAIN_GO;
}

static bool on_asked(void *ctx)
{
        struct watch *w = ctx;
        const bool has_failed = plan[HITS] > 0;
        if (++w->asked == w->fail_at) {
                plan[KIND] = KIND_LATE;
                plan[STATUS] = OUT_OF_RESOURCES;
                plan[FIRST] = plan[TIMES] = 1;
                plan[CALL] = NDRANGE;
        }
        w->failed_asked += has_failed;
        return has_failed ? w->always : w->asked % 7 == 0;
}

static int run(struct trainer *t, const char *name, struct watch *w, bool can_ask, struct err *e)
{
        char dir[128];
        struct train_request request;
        struct train_outcome outcome;
        const struct train_hooks hooks = {
                .ctx = w, .event = on_event, .between_steps = on_between, .asked = can_ask ? on_asked : NULL};
        trainer_parse(JOB, &request);
        snprintf(dir, sizeof dir, "%s/%s", t->dir, name);
        mkdir(dir, 0777);
        const struct train_job job = {
                .request = &request, .data = t->data, .dir = dir, .checkpoint_seconds = 1e9};
        plan[CALL] = -1;
        plan[SEEN] = plan[HITS] = 0;
        const int rc = train_run(t->dev, &job, &hooks, &outcome, e);
        train_request_finish(&request);
        return rc;
}

static void gives_the_same_bits(void **state)
{
        struct trainer *t = *state;
        struct watch one = {0}, ahead = {0};
        struct err e = {0};
        size_t count, same;
        CHECK_OK(run(t, "one", &one, false, &e), &e);
        CHECK_OK(run(t, "ahead", &ahead, true, &e), &e);
        print_message(
                "asked %d times, had %d of %d looks between\n", ahead.asked, ahead.between, one.between);
        assert_true(ahead.asked > 0 && ahead.between < one.between);
        float *want = trainer_weights(t, "one", &count), *got = trainer_weights(t, "ahead", &same);
        assert_int_equal(count, same);
        assert_memory_equal(want, got, count * sizeof *want);
        free(want);
        free(got);
}

/* A command of a step that fails while the next is enqueued ends the run, and is no one else's. Tried until
   it was behind when somebody could ask, which it is not on a machine that is slow just then. */
static void failures_are_seen(void **state)
{
        for (int always = 0; always < 2; always++) {
                int behind = 0;
                for (int i = 1; i < 60 && !behind; i++) {
                        struct watch w = {.fail_at = 2 + i % 20, .always = always};
                        struct err e = {0};
                        char name[24];
                        snprintf(name, sizeof name, "%d-%d", always, i);
                        const int rc = run(*state, name, &w, true, &e);
                        if (plan[HITS] == 0) /* it never was ahead for so long */
                                continue;
                        assert_int_equal(rc, ERR_DEVICE_MEMORY);
                        assert_non_null(strstr(e.message, " failed on "));
                        assert_int_equal(w.failed_between, 0);
                        assert_true(w.failed_asked <= 1); /* the next step sees it */
                        behind = w.failed_asked;
                }
                assert_true(behind > 0);
        }
}

static int set_up(void **state)
{
        char path[] = "/tmp/cnnd-ahead-XXXXXX";
        const int fd = mkstemp(path);
        assert_true(fd >= 0 && ftruncate(fd, PLAN_BYTES) == 0);
        plan = mmap(NULL, PLAN_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        assert_true(plan != MAP_FAILED);
        plan[CALL] = -1;
        setenv("CNND_FAULTS", path, 1);
        struct trainer *t = trainer_open(0);
        unlink(path);
        close(fd);
        assert_string_equal((const char *)(plan + 8) + NDRANGE * 52, "clEnqueueNDRangeKernel");
        assert_int_equal(dev_info(t->dev)->type, DEV_GPU);
        trainer_data(t, 1, 4, 5, 40, 0, false);
        *state = t;
        return 0;
}

static int tear_down(void **state)
{
        munmap(plan, PLAN_BYTES);
        return trainer_tear_down(state);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(gives_the_same_bits),
                cmocka_unit_test(failures_are_seen),
        };
        return cmocka_run_group_tests(tests, set_up, tear_down);
}
