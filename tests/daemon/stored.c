/* What one user may store: models that jobs will save count before they are there, what is replaced does not.
 */
#include "check.h"
#include "front.h"

#include "base/json.h"
#include "daemon/jobs/jobrow.h"

/* Of the fake's plans, and what a user may store. */
enum { MODEL_BYTES = 10000000, LIMIT = 25000000 };

static const struct identity root = {.user = "root", .operator= true };

#define SAVING(name) FRONT_JOB("rest 50", "\"epochs\":100,\"save_as\":\"" name "\"")

static int make_state(void **state)
{
        setenv("CNND_FAKE_MODEL_BYTES", "10000000", 1);
        front_limits = (struct quota_limits){.stored_bytes = LIMIT};
        return front_make_state(state);
}

static int drop_state(void **state)
{
        front_limits = (struct quota_limits){0};
        return front_drop_state(state);
}

/* The job's id, or the error. */
static int64_t submit(struct service *s, const struct identity *who, const char *text, struct err *e)
{
        int64_t id = 0;
        bool again;
        cJSON *body = json_parse(text, strlen(text), e);
        assert_non_null(body);
        int rc = jobs_submit(s->jobs, who, NULL, body, &id, &again, e);
        cJSON_Delete(body);
        return rc ? rc : id;
}

/* What requests and events of anna's jobs take. */
static int64_t kept(struct service *s)
{
        sqlite3_stmt *st;
        struct err e;
        CHECK_OK(
                store_prepare(s->store, "SELECT sum(kept_bytes) FROM jobs WHERE user = 'anna'", &st, &e), &e);
        assert_int_equal(store_step(s->store, st, &e), 1);
        int64_t bytes = sqlite3_column_int64(st, 0);
        sqlite3_reset(st);
        return bytes;
}

/* Three models and what jobs keep are too much. */
static void check_refused(struct service *s, const char *text)
{
        struct err e;
        long long more = 0, all = 0, limit = 0;
        assert_int_equal(submit(s, &front_anna, text, &e), ERR_DISK);
        assert_int_equal(sscanf(e.message, "with these %lld bytes you would store %lld of the %lld you may",
                                 &more, &all, &limit),
                3);
        assert_int_equal(limit, LIMIT);
        assert_int_equal(all, kept(s) + 2 * MODEL_BYTES + more);
        assert_in_range(
                more, MODEL_BYTES + 1210 * JOBROW_EVENT_BYTES, MODEL_BYTES + 1230 * JOBROW_EVENT_BYTES);
}

static void what_jobs_will_save_counts(void **state)
{
        struct service *s = front_start(*state);
        struct err e;
        int64_t first = front_submit(s, SAVING("a")), second = front_submit(s, SAVING("b"));
        front_wait_state(s, first, JOB_RUNNING);
        check_refused(s, SAVING("c"));
        assert_true(submit(s, &front_anna, SAVING("b"), &e) > 0); /* under a name that counts already */
        assert_true(submit(s, &front_anna, FRONT_JOB("rest 50", "\"epochs\":100"), &e) > 0);
        assert_true(submit(s, &front_bert, SAVING("mine"), &e) > 0);
        for (int i = 0; i < 3; i++)
                assert_true(
                        submit(s, &root, FRONT_JOB("rest 50", "\"epochs\":100,\"save_as\":\"r\""), &e) > 0);
        CHECK_OK(jobs_pause(s->jobs, second, &e), &e);
        check_refused(s, SAVING("c"));
        service_destroy(s);
        s = front_start(*state);
        check_refused(s, SAVING("c"));
        int64_t room = LIMIT - 2 * MODEL_BYTES - kept(s);
        assert_int_equal(quota_model(s->quota, &front_anna, "up", room + 1, &e), ERR_DISK);
        CHECK_OK(quota_model(s->quota, &front_anna, "up", room, &e), &e);
        assert_int_equal(quota_dataset(s->quota, &front_anna, "up", room + 1, &e), ERR_DISK);
        CHECK_OK(jobs_cancel(s->jobs, first, &e), &e);
        front_wait_state(s, first, JOB_CANCELLED);
        assert_true(submit(s, &front_anna, SAVING("c"), &e) > 0);
        check_refused(s, SAVING("d"));
        service_destroy(s);
}

/* A row of anna's; the next start drops it. */
static void give_set(struct service *s, int64_t bytes)
{
        sqlite3_stmt *st;
        struct err e;
        CHECK_OK(store_prepare(s->store,
                         "INSERT OR REPLACE INTO datasets(name, user, bytes) VALUES('set', 'anna', ?)", &st,
                         &e),
                &e);
        store_bind_int(st, 1, bytes);
        CHECK_OK(store_run(s->store, st, &e), &e);
}

static void a_replaced_data_set_does_not_count(void **state)
{
        struct service *s = front_start(*state);
        struct err e;
        give_set(s, LIMIT - 500);
        CHECK_OK(quota_dataset(s->quota, &front_anna, "set", LIMIT, &e), &e);
        assert_int_equal(quota_dataset(s->quota, &front_anna, "set", LIMIT + 1, &e), ERR_TOO_LARGE);
        assert_int_equal(quota_dataset(s->quota, &front_anna, "other", 501, &e), ERR_DISK);
        CHECK_OK(quota_dataset(s->quota, &front_anna, "other", 500, &e), &e);
        assert_int_equal(quota_model(s->quota, &front_anna, "set", 501, &e), ERR_DISK);
        CHECK_OK(quota_dataset(s->quota, &front_bert, "set", LIMIT, &e), &e);
        service_destroy(s);
}

/* What stands there goes when another comes, but stays while a job is only to save one. */
static void a_replaced_model_does_not_count(void **state)
{
        struct service *s = front_start(*state);
        struct err e;
        front_wait_state(
                s, front_submit(s, FRONT_JOB("it", "\"epochs\":1,\"save_as\":\"it\"")), JOB_SUCCEEDED);
        give_set(s,
                LIMIT - 100 - kept(s)); /* what there is is more than may be, with a smaller one it is not */
        CHECK_OK(quota_model(s->quota, &front_anna, "it", 100, &e), &e);
        assert_int_equal(quota_model(s->quota, &front_anna, "it", 101, &e), ERR_DISK);
        assert_int_equal(quota_save(s->quota, &front_anna, "it", 100, 0, &e), ERR_DISK);
        give_set(s, LIMIT - MODEL_BYTES - kept(s));
        CHECK_OK(quota_model(s->quota, &front_anna, "it", MODEL_BYTES, &e), &e);
        assert_int_equal(quota_model(s->quota, &front_anna, "it", MODEL_BYTES + 1, &e), ERR_DISK);
        CHECK_OK(quota_save(s->quota, &front_anna, "it", MODEL_BYTES, 0, &e), &e);
        assert_int_equal(quota_save(s->quota, &front_anna, "new", MODEL_BYTES, 0, &e), ERR_DISK);
        CHECK_OK(quota_model(s->quota, &front_anna, "it", 1, &e), &e);
        give_set(s, LIMIT - MODEL_BYTES - kept(s) - 1230 * JOBROW_EVENT_BYTES);
        assert_true(submit(s, &front_anna, SAVING("it"), &e) > 0);
        give_set(s, LIMIT - MODEL_BYTES - kept(s));
        CHECK_OK(quota_model(s->quota, &front_anna, "it", 1, &e), &e);
        assert_int_equal(quota_model(s->quota, &front_anna, "other", 1, &e), ERR_DISK);
        assert_non_null(strstr(e.message, "jobs will save (1)"));
        service_destroy(s);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_state, drop_state)

FRONT_MAIN(TEST(what_jobs_will_save_counts), TEST(a_replaced_data_set_does_not_count),
        TEST(a_replaced_model_does_not_count))
