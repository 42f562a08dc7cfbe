/* Classifications that take long, and users who ask much: neither holds up the others. */
#include "front.h"

#include "base/clock.h"
#include "base/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of the fake engine's runs, each of which takes RUN_MS of the WATCHDOG_S that a worker may be silent. */
enum { PARTS = 16, IMAGES = PARTS * 256, PIXELS = 4, HEADER = 128 };
#define RUN_MS     "500"
#define WATCHDOG_S 4

static const struct classify_map MAP = {.window = 2, .stride = 2};

/* An NPY of IMAGES images, all of class 3. */
static int post_long(struct service *s, const struct classify_caller *caller)
{
        static char body[HEADER + IMAGES * PIXELS * sizeof(float)];
        struct err e;
        memset(body, ' ', HEADER);
        memcpy(body, "\x93NUMPY\1\0v\0", 10);
        int n = snprintf(body + 10, HEADER - 10,
                "{'descr': '<f4', 'fortran_order': False, 'shape': (%d, 1, 2, 2), }", IMAGES);
        body[10 + n] = ' ';
        body[HEADER - 1] = '\n';
        for (size_t i = 0; i < (size_t)IMAGES * PIXELS; i++)
                memcpy(body + HEADER + i * sizeof(float), &(float){0.3f}, sizeof(float));
        return classify_start(s->classify, "it", body, sizeof body, NULL, 1, caller, &e);
}

static int post_short(struct service *s, const struct classify_caller *caller)
{
        struct err e;
        return classify_start(s->classify, "it", "P5 2 2 255\n\0\0\0\0", 15, NULL, 1, caller, &e);
}

static void wait_for(struct service *s, const struct front_visitor *v)
{
        int64_t end = clock_now_ms() + FRONT_LONG_MS;
        while (!v->answer.done) {
                assert_true(clock_now_ms() < end);
                front_turn(s);
        }
}

static void start(struct service **s, const char *state)
{
        setenv("CNND_FAKE_INFER_MS", RUN_MS, 1);
        struct err e;
        *s = front_open(state, WATCHDOG_S);
        for (int64_t end = clock_now_ms() + FRONT_LONG_MS; service_health(*s, &e);) {
                assert_true(clock_now_ms() < end);
                front_turn(*s);
        }
        front_wait_state(
                *s, front_submit(*s, FRONT_JOB("it", "\"epochs\":1,\"save_as\":\"it\"")), JOB_SUCCEEDED);
}

static void stop(struct service *s)
{
        unsetenv("CNND_FAKE_INFER_MS");
        service_destroy(s);
}

static void one_that_takes_long_is_no_hanging_worker(void **state)
{
        struct service *s;
        struct front_visitor v = {0};
        const struct classify_caller caller = front_caller(&front_anna, &v);
        start(&s, *state);
        const pid_t worker = front_worker(s, 0);
        assert_int_equal(post_long(s, &caller), 0);
        wait_for(s, &v);
        assert_non_null(v.answer.result);
        const cJSON *results = json_field(v.answer.result, "results");
        assert_int_equal(cJSON_GetArraySize(results), IMAGES);
        const cJSON *last = cJSON_GetArrayItem(results, IMAGES - 1);
        assert_int_equal(
                json_field(cJSON_GetArrayItem(json_field(last, "predictions"), 0), "index")->valueint, 3);
        assert_int_equal(front_worker(s, 0), worker);
        cJSON_Delete(v.answer.result);
        stop(s);
}

static void others_are_answered_meanwhile(void **state)
{
        struct service *s;
        struct front_visitor slow = {0}, quick = {0};
        const struct classify_caller anna = front_caller(&front_anna, &slow),
                                     bert = front_caller(&front_bert, &quick);
        start(&s, *state);
        assert_int_equal(post_long(s, &anna), 0);
        for (int64_t begun = clock_now_ms(); clock_now_ms() - begun < 1000;) /* two of its runs */
                front_turn(s);
        int64_t job = front_submit_as(s, &front_bert, FRONT_JOB("more", "\"epochs\":1000"));
        assert_int_equal(post_short(s, &bert), 0);
        wait_for(s, &quick);
        assert_non_null(quick.answer.result);
        front_wait_step(s, job, 1);
        assert_false(slow.answer.done);
        wait_for(s, &slow);
        assert_non_null(slow.answer.result);
        cJSON_Delete(quick.answer.result);
        cJSON_Delete(slow.answer.result);
        stop(s);
}

/* Both end at their times: the next long one begins when the worker has heard, and goes in parts, too. */
static void who_leaves_stops_it(void **state)
{
        struct service *s;
        struct front_visitor v = {0}, next = {0};
        const struct classify_caller anna = front_caller(&front_anna, &v),
                                     bert = front_caller(&front_bert, &next);
        start(&s, *state);
        const pid_t worker = front_worker(s, 0);
        assert_int_equal(post_long(s, &anna), 0);
        while (classify_batches(s->classify) == 0)
                front_turn(s);
        assert_int_equal(post_long(s, &bert), 0);
        for (int64_t begun = clock_now_ms(); clock_now_ms() - begun < 1000;)
                front_turn(s);
        v.left = true;
        wait_for(s, &v);
        assert_int_equal(v.answer.error.code, ERR_CANCELLED);
        assert_int_equal(classify_images(s->classify), 0);
        wait_for(s, &next);
        assert_non_null(next.answer.result);
        assert_int_equal(classify_images(s->classify), IMAGES);
        assert_int_equal(front_worker(s, 0), worker);
        cJSON_Delete(next.answer.result);
        stop(s);
}

static int count(struct service *s, const struct identity *who, bool map, struct front_visitor *v, int most)
{
        int ret = 0;
        struct err e = {0};
        for (int rc = 0; rc == 0 && ret <= most; ret += rc == 0) {
                const struct classify_caller caller = front_caller(who, v);
                rc = map ? classify_map(
                                   s->classify, "it", &MAP, "P5 2 2 255\n\0\0\0\0", 15, NULL, &caller, &e)
                         : post_short(s, &caller);
        }
        return ret;
}

/* Nothing is answered between: the front does not come to its turn. */
static void nobody_takes_all_the_places(void **state)
{
        struct service *s;
        struct front_visitor v = {0};
        const struct identity root = {.user = "ottilie", .operator= true };
        start(&s, *state);
        assert_int_equal(count(s, &front_anna, false, &v, 1000), CLASSIFY_SHARE);
        assert_int_equal(count(s, &front_anna, true, &v, 1000), 0);
        assert_int_equal(count(s, &front_bert, true, &v, 1000), CLASSIFY_MAPS_SHARE);
        assert_int_equal(count(s, &root, true, &v, 1000), CLASSIFY_MAX_MAPS - CLASSIFY_MAPS_SHARE);
        assert_int_equal(count(s, &front_bert, false, &v, 1000),
                CLASSIFY_MAX_PENDING - CLASSIFY_SHARE - CLASSIFY_MAX_MAPS);
        stop(s);
}

FRONT_MAIN(FRONT_TEST(one_that_takes_long_is_no_hanging_worker), FRONT_TEST(others_are_answered_meanwhile),
        FRONT_TEST(who_leaves_stops_it), FRONT_TEST(nobody_takes_all_the_places))
