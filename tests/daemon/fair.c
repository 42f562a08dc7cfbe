/* Who goes next, on devices that several users want. */
#include "front.h"

#include "base/clock.h"
#include "base/json.h"
#include "daemon/jobs/jobcore.h"
#include "daemon/jobs/jobrun.h"

#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static const struct identity operator= {.user = "ottilie", .operator= true };

#define SHORT FRONT_JOB("short", "\"epochs\":5")
#define LONG  FRONT_JOB("long", "\"epochs\":100000")

static int count(struct service *s, enum job_state state, const char *user)
{
        struct err e;
        cJSON *list = NULL;
        int64_t before;
        const struct jobs_filter f = {.state = (int)state, .user = user, .limit = JOBS_LIST_MAX};
        CHECK_OK(jobs_list(s->jobs, &f, &list, &before, &e), &e);
        int n = cJSON_GetArraySize(list);
        cJSON_Delete(list);
        return n;
}

/* Now: a look at the line is good for many times as long as it took, which may be long, and here whoever
   asks has just joined it. */
static int position(struct service *s, int64_t id)
{
        s->jobs->line.until_us = 0;
        cJSON *job = front_job(s, id);
        const cJSON *at = json_field(json_field(job, "queue"), "position");
        int n = cJSON_IsNumber(at) ? at->valueint : 0;
        cJSON_Delete(job);
        return n;
}

/* What a job waits for, in words that begin like this. */
static void check_reason(struct service *s, int64_t id, const char *begin)
{
        s->jobs->line.until_us = 0;
        cJSON *job = front_job(s, id);
        const cJSON *reason = json_field(json_field(job, "queue"), "reason");
        if (!cJSON_IsString(reason) || strncmp(reason->valuestring, begin, strlen(begin)) != 0)
                fail_msg("job %lld waits, because %s", (long long)id,
                        cJSON_IsString(reason) ? reason->valuestring : "nothing is said");
        cJSON_Delete(job);
}

/* Device seconds of the user's jobs, all together and the longest of them. */
static double seconds_of(struct service *s, const char *user, double *ret_longest)
{
        struct err e;
        cJSON *list = NULL;
        int64_t before;
        const cJSON *job;
        double sum = 0;
        const struct jobs_filter f = {.state = -1, .user = user, .limit = JOBS_LIST_MAX};
        CHECK_OK(jobs_list(s->jobs, &f, &list, &before, &e), &e);
        *ret_longest = 0;
        cJSON_ArrayForEach(job, list)
        {
                const double seconds = json_field(job, "device_seconds")->valuedouble;
                sum += seconds;
                *ret_longest = seconds > *ret_longest ? seconds : *ret_longest;
        }
        cJSON_Delete(list);
        return sum;
}

static void a_flood_delays_nobody(void **state)
{
        struct service *s = front_start(*state);
        int64_t last = 0, bert[3];
        for (int i = 0; i < 40; i++)
                last = front_submit(s, SHORT);
        for (int i = 0; i < 3; i++)
                bert[i] = front_submit_as(s, &front_bert, SHORT);
        assert_in_range(position(s, bert[0]), 1, 2);
        assert_true(position(s, last) >= 40);
        front_wait_state(s, bert[2], JOB_SUCCEEDED);
        /* While bert waited, anna began nothing with more than he had. */
        double longest, berts = seconds_of(s, "bert", &longest), annas = seconds_of(s, "anna", &longest);
        assert_true(count(s, JOB_SUCCEEDED, "anna") >= 1);
        if (annas > berts + longest + 0.05)
                fail_msg("anna had %.3f s, at most %.3f at once, bert %.3f", annas, longest, berts);
        front_wait_state(s, last, JOB_SUCCEEDED);
        service_destroy(s);
}

static void a_long_job_yields_after_its_slice(void **state)
{
        setenv("CNND_FAKE_STEP_MS", "10", 1);
        front_slice_seconds = 0.5;
        struct service *s = front_start(*state);
        int64_t begun = clock_now_ms(),
                anna = front_submit(s, FRONT_JOB("it", "\"epochs\":20,\"save_as\":\"it\""));
        front_wait_state(s, anna, JOB_RUNNING);
        int64_t bert = front_submit_as(s, &front_bert, LONG);
        front_wait_state(s, bert, JOB_RUNNING);
        int64_t waited = clock_now_ms() - begun;
        assert_true(waited >= 450);
        assert_int_equal(front_state(s, anna), JOB_QUEUED); /* before its end, which is seconds off */
        /* It takes its turn again, once bert has had more; and nothing of it is lost. */
        front_wait_state(s, anna, JOB_SUCCEEDED);
        front_check_undisturbed(s, *state, anna, 400);
        service_destroy(s);
        front_slice_seconds = 60;
}

static void nobody_yields_to_himself(void **state)
{
        front_slice_seconds = 0.1;
        struct service *s = front_start(*state);
        int64_t first = front_submit(s, FRONT_JOB("it", "\"epochs\":20,\"save_as\":\"it\""));
        int64_t second = front_submit(s, SHORT);
        front_wait_state(s, first, JOB_SUCCEEDED);
        cJSON *job = front_job(s, second);
        assert_true(front_state(s, second) != JOB_SUCCEEDED);
        cJSON_Delete(job);
        service_destroy(s);
        front_slice_seconds = 60;
}

static void two_devices_go_to_two_users(void **state)
{
        setenv("CNND_FAKE_DEVICES", "2", 1);
        front_slice_seconds = 0.3;
        struct service *s = front_start(*state);
        int64_t anna[3], bert[2];
        for (int i = 0; i < 3; i++)
                anna[i] = front_submit(s, LONG);
        front_wait_state(s, anna[0], JOB_RUNNING);
        front_wait_state(s, anna[1], JOB_RUNNING);
        for (int i = 0; i < 2; i++)
                bert[i] = front_submit_as(s, &front_bert, LONG);
        front_wait_state(s, bert[0], JOB_RUNNING);
        assert_int_equal(count(s, JOB_RUNNING, "anna"), 1);
        /* Both have waiting jobs now, and each keeps a device most of the time. */
        int both = 0, two = 0;
        for (int64_t end = clock_now_ms() + 3000; clock_now_ms() < end;) {
                front_turn(s);
                const int annas = count(s, JOB_RUNNING, "anna"), berts = count(s, JOB_RUNNING, "bert");
                both += annas == 1 && berts == 1;
                two += annas + berts == 2;
        }
        assert_true(two > 0 && both > two / 2);
        service_destroy(s);
        front_slice_seconds = 60;
}

static void priority_goes_first(void **state)
{
        front_slice_seconds = 0.3;
        struct service *s = front_start(*state);
        int64_t low = front_submit(s, FRONT_JOB("low", "\"epochs\":1,\"priority\":-10"));
        front_wait_state(s, low, JOB_SUCCEEDED);
        int64_t running = front_submit(s, LONG);
        check_reason(s, running, "it is next, and a device is free");
        front_wait_state(s, running, JOB_RUNNING);
        int64_t first = front_submit(s, FRONT_JOB("low", "\"epochs\":1,\"priority\":-10"));
        int64_t second = front_submit(s, SHORT);
        assert_int_equal(position(s, second), 1);
        assert_int_equal(position(s, first), 2);
        check_reason(s, second, "it is next: it starts as soon as");
        check_reason(s, first, "1 job goes before it");
        int64_t urgent = front_submit_as(s, &operator, FRONT_JOB("urgent", "\"epochs\":5,\"priority\":7"));
        assert_int_equal(position(s, urgent), 1);
        front_wait_state(s, urgent, JOB_SUCCEEDED);
        assert_true(front_state(s, second) != JOB_SUCCEEDED);
        struct err e;
        int64_t id;
        bool again;
        cJSON *body = json_parse(FRONT_JOB("mine", "\"epochs\":1,\"priority\":1"),
                strlen(FRONT_JOB("mine", "\"epochs\":1,\"priority\":1")), &e);
        assert_int_equal(jobs_submit(s->jobs, &front_bert, NULL, body, &id, &again, &e), ERR_DENIED);
        assert_string_equal(e.pointer, "/priority");
        cJSON_Delete(body);
        service_destroy(s);
        front_slice_seconds = 60;
}

static void shares_survive_a_restart(void **state)
{
        struct service *s = front_start(*state);
        const int64_t begun = clock_now_ms();
        int64_t id = front_submit(s, FRONT_JOB("it", "\"epochs\":20"));
        front_wait_state(s, id, JOB_SUCCEEDED);
        cJSON *job = front_job(s, id);
        double seconds = json_field(job, "device_seconds")->valuedouble;
        cJSON_Delete(job);
        assert_true(seconds > 0.3 && seconds < (double)(clock_now_ms() - begun) / 1000 + 0.1);
        service_destroy(s);
        s = front_start(*state);
        int64_t block = front_submit_as(s, &operator, LONG);
        front_wait_state(s, block, JOB_RUNNING);
        int64_t anna = front_submit(s, SHORT), bert = front_submit_as(s, &front_bert, SHORT);
        assert_int_equal(position(s, bert), 1);
        assert_int_equal(position(s, anna), 2);
        struct err e;
        CHECK_OK(jobs_cancel(s->jobs, block, &e), &e);
        front_wait_state(s, bert, JOB_SUCCEEDED);
        assert_true(front_state(s, anna) != JOB_SUCCEEDED);
        service_destroy(s);
}

static void a_paused_job_holds_up_nobody(void **state)
{
        struct service *s = front_start(*state);
        struct err e;
        int64_t first = front_submit(s, LONG);
        front_wait_step(s, first, 10);
        CHECK_OK(jobs_pause(s->jobs, first, &e), &e);
        front_wait_state(s, first, JOB_PAUSED);
        cJSON *job = front_job(s, first);
        assert_true(cJSON_IsNull(json_field(job, "queue")));
        cJSON_Delete(job);
        int64_t second = front_submit(s, SHORT);
        front_wait_state(s, second, JOB_SUCCEEDED);
        CHECK_OK(jobs_resume(s->jobs, first, &e), &e);
        front_wait_state(s, first, JOB_RUNNING);
        CHECK_OK(jobs_cancel(s->jobs, first, &e), &e);
        front_wait_state(s, first, JOB_CANCELLED);
        service_destroy(s);
}

#define TF32(more) FRONT_JOB("tf32", "\"precision\":\"tf32\"," more)

static void tf32_goes_where_it_is(void **state)
{
        setenv("CNND_FAKE_DEVICES", "2", 1);
        struct service *s = front_start(*state);
        struct err e;
        int64_t first = front_submit(s, TF32("\"epochs\":100000")),
                second = front_submit(s, TF32("\"epochs\":5"));
        front_wait_state(s, first, JOB_RUNNING);
        int64_t other = front_submit_as(s, &front_bert, SHORT);
        front_wait_state(s, other, JOB_SUCCEEDED); /* on the first device, past what waits for the second */
        cJSON *running = front_job(s, first), *waiting = front_job(s, second);
        assert_string_equal(json_field(running, "device")->valuestring, "0:1");
        assert_string_equal(json_field(running, "precision")->valuestring, "tf32");
        assert_string_equal(json_field(waiting, "state")->valuestring, "queued");
        cJSON_Delete(running);
        cJSON_Delete(waiting);
        CHECK_OK(jobs_cancel(s->jobs, first, &e), &e);
        front_wait_state(s, second, JOB_SUCCEEDED);
        service_destroy(s);
}

static int64_t ahead_s; /* so far the wall clock is set */

/* In place of libc's. */
int clock_gettime(clockid_t clock, struct timespec *ret)
{
        const int rc = (int)syscall(SYS_clock_gettime, clock, ret);
        ret->tv_sec += clock == CLOCK_REALTIME ? ahead_s : 0;
        return rc;
}

static void a_clock_that_is_set_ages_no_share(void **state)
{
        static const int64_t steps[] = {365 * 86400, -365 * 86400, 0};
        struct service *s = front_start(*state);
        front_wait_state(s, front_submit(s, SHORT), JOB_SUCCEEDED);
        double share = jobrun_share(s->jobs, "anna");
        assert_true(share > 0);
        for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
                ahead_s = steps[i];
                const double now = jobrun_share(s->jobs, "anna");
                assert_true(now > 0.9 * share && now <= share);
                front_wait_state(s, front_submit(s, SHORT), JOB_SUCCEEDED);
                share = jobrun_share(s->jobs, "anna");
                assert_true(share > now);
        }
        service_destroy(s);
}

/* Larger than what the GPU has. */
static void what_waits_for_a_gpu_says_so(void **state)
{
        char waits[200];
        snprintf(waits, sizeof waits, "%s/waits", (char *)*state);
        FILE *f = fopen(waits, "w");
        assert_non_null(f);
        fclose(f);
        setenv("CNND_FAKE_DEVICES", "2", 1);
        setenv("CNND_FAKE_GPU", "1", 1);
        setenv("CNND_FAKE_GPU_WAITS", waits, 1);
        struct service *s = front_start(*state);
        int64_t id = front_submit(s,
                "{\"type\":\"train\",\"architecture\":\"lenet\",\"dataset\":\"tiny\",\"batch_size\":2000,"
                "\"epochs\":1}");
        for (int i = 0; i < 20; i++)
                front_turn(s);
        assert_int_equal(front_state(s, id), JOB_QUEUED);
        check_reason(s, id, "it is next, and a device is free, but a GPU is being started");
        assert_int_equal(unlink(waits), 0);
        front_wait_state(s, id, JOB_SUCCEEDED);
        cJSON *job = front_job(s, id);
        assert_string_equal(json_field(job, "device")->valuestring, "0:0");
        cJSON_Delete(job);
        service_destroy(s);
}

static void tf32_is_refused_where_it_is_not(void **state)
{
        struct service *s = front_start(*state);
        struct err e = {0};
        int64_t id = 0;
        bool old = false;
        cJSON *body = cJSON_Parse(TF32("\"epochs\":5"));
        assert_int_equal(jobs_submit(s->jobs, &front_anna, NULL, body, &id, &old, &e), ERR_INVALID);
        assert_string_equal(e.pointer, "/precision");
        assert_non_null(strstr(e.message, "fake 0 has no matrix units for tf32"));
        cJSON_Delete(body);
        service_destroy(s);
}

FRONT_MAIN(FRONT_TEST(a_flood_delays_nobody), FRONT_TEST(a_long_job_yields_after_its_slice),
        FRONT_TEST(nobody_yields_to_himself), FRONT_TEST(what_waits_for_a_gpu_says_so),
        FRONT_TEST(a_clock_that_is_set_ages_no_share), FRONT_TEST(two_devices_go_to_two_users),
        FRONT_TEST(priority_goes_first), FRONT_TEST(shares_survive_a_restart),
        FRONT_TEST(a_paused_job_holds_up_nobody), FRONT_TEST(tf32_goes_where_it_is),
        FRONT_TEST(tf32_is_refused_where_it_is_not))
