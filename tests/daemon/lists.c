/* Lists and quotas of a long history: what they cost does not grow with it, nor with what its requests say.
 */
#include "front.h"

#include "base/json.h"
#include "daemon/jobs/jobcore.h"
#include "daemon/jobs/jobrow.h"

enum {
        HISTORY = 20000,
        ROWS = 100, /* a list's */
        MOST_STEPS =
                20000 /* of SQLite's machine, for all the lists: a look at the history takes more for each */
};

static sqlite3 *database(struct service *s)
{
        sqlite3_stmt *st;
        struct err e;
        CHECK_OK(store_prepare(s->store, "SELECT 1", &st, &e), &e);
        return sqlite3_db_handle(st);
}

/* Copies of job `id`, succeeded, whose requests are `pad` bytes longer. */
static void add_history(struct service *s, int64_t id, int count, int pad)
{
        char *sql = sqlite3_mprintf(
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)"
                " INSERT INTO jobs(type, name, user, state, want, request, dataset, created_at, epoch, step,"
                " steps, train_step, validation_step, checkpoint_step, device_bytes, largest_buffer,"
                " micro_batch, failures, events)"
                " SELECT type, name, user, 'succeeded', want, request || printf('%%%ds', ''), dataset,"
                " created_at, epoch, step, steps, train_step, validation_step, checkpoint_step, device_bytes,"
                " largest_buffer, micro_batch, failures, events FROM jobs, n WHERE id = %lld",
                count, pad, (long long)id);
        assert_int_equal(sqlite3_exec(database(s), sql, NULL, NULL, NULL), SQLITE_OK);
        sqlite3_free(sql);
}

/* Steps of SQLite's machine since the last call. */
static int steps(struct service *s)
{
        int sum = 0;
        for (sqlite3_stmt *st = NULL; (st = sqlite3_next_stmt(database(s), st)) != NULL;)
                sum += sqlite3_stmt_status(st, SQLITE_STMTSTATUS_VM_STEP, 1);
        return sum;
}

/* Their number; newest first, and each of the filter. */
static int count(struct service *s, const struct jobs_filter *f)
{
        struct err e;
        cJSON *list = NULL;
        int64_t before, last = INT64_MAX;
        const cJSON *job;
        CHECK_OK(jobs_list(s->jobs, f, &list, &before, &e), &e);
        assert_int_equal(before, 0);
        cJSON_ArrayForEach(job, list)
        {
                const char *user = json_field(job, "user")->valuestring;
                const int64_t id = (int64_t)json_field(job, "id")->valuedouble;
                assert_true(id < last && (!f->before || id < f->before));
                assert_true(
                        (!f->user || strcmp(user, f->user) == 0) && (!f->own || strcmp(user, f->own) == 0));
                assert_true(f->state < 0 || strcmp(json_field(job, "state")->valuestring,
                                                    job_state_name((enum job_state)f->state)) == 0);
                last = id;
        }
        int n = cJSON_GetArraySize(list);
        cJSON_Delete(list);
        return n;
}

static void a_long_history_costs_nothing(void **state)
{
        struct service *s = front_start(*state);
        const int64_t done = front_submit_as(s, &front_anna, FRONT_JOB("it", "\"epochs\":1"));
        front_wait_state(s, done, JOB_SUCCEEDED);
        add_history(s, done, HISTORY, 10);
        const struct {
                struct jobs_filter f;
                int count;
        } lists[] = {
                {{.state = -1}, ROWS},
                {{.state = JOB_RUNNING}, 0},
                {{.state = JOB_SUCCEEDED, .before = done + 3}, 3},
                {{.state = -1, .user = "anna", .before = done + 3}, 3},
                {{.state = -1, .user = "bert"}, 0},
                {{.state = -1, .own = "bert"}, 0},
                {{.state = -1, .own = "anna"}, ROWS},
                {{.state = JOB_FAILED, .own = "anna"}, 0},
                {{.state = JOB_SUCCEEDED, .user = "anna", .own = "anna", .before = done + 3}, 3},
                {{.state = JOB_SUCCEEDED, .user = "anna", .own = "bert"}, 0},
                {{.state = JOB_SUCCEEDED, .user = "bert", .own = "anna"}, 0},
        };
        struct err e;
        steps(s);
        for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
                struct jobs_filter f = lists[i].f;
                f.limit = ROWS;
                assert_int_equal(count(s, &f), lists[i].count);
                int n = steps(s);
                if (n > MOST_STEPS)
                        fail_msg("list %zu takes %d steps", i, n);
        }
        struct quota *quota = quota_create(&(struct quota_limits){.queued_jobs = 10}, s->store);
        CHECK_OK(quota_job(quota, &front_anna, &e), &e);
        CHECK_OK(quota_job(quota, &front_bert, &e), &e);
        assert_in_range(steps(s), 1, MOST_STEPS);
        quota_destroy(quota);
        const int64_t id = front_submit_as(s, &front_anna, FRONT_JOB("it", "\"epochs\":1"));
        assert_in_range(steps(s), 1, MOST_STEPS);
        front_wait_state(s, id, JOB_SUCCEEDED);
        service_destroy(s);
}

/* Page by page: all of it, once, and no page too long. */
static void large_requests_make_short_lists(void **state)
{
        enum { COUNT = 40, PAD = 1 << 20 };
        struct service *s = front_start(*state);
        const int64_t done = front_submit_as(s, &front_anna, FRONT_JOB("it", "\"epochs\":1"));
        struct jobs_filter f = {.state = -1, .own = "anna", .limit = JOBS_LIST_MAX};
        struct err e;
        front_wait_state(s, done, JOB_SUCCEEDED);
        add_history(s, done, COUNT, PAD);
        int pages = 0;
        int64_t seen = 0, last = done + COUNT + 1;
        do {
                cJSON *list = NULL;
                const cJSON *job;
                CHECK_OK(jobs_list(s->jobs, &f, &list, &f.before, &e), &e);
                cJSON_ArrayForEach(job, list)
                {
                        assert_int_equal((int64_t)json_field(job, "id")->valuedouble, --last);
                        seen++;
                }
                assert_true(!f.before || f.before == last);
                char *text = json_text(list);
                assert_in_range(strlen(text), 1, JOBROW_LIST_BYTES + (1 << 16));
                cJSON *again = json_parse(text, strlen(text), &e);
                assert_int_equal(cJSON_GetArraySize(again), cJSON_GetArraySize(list));
                assert_true(cJSON_IsObject(json_field(again->child, "request")));
                cJSON_Delete(again);
                cJSON_free(text);
                cJSON_Delete(list);
                pages++;
        } while (f.before);
        assert_int_equal(seen, COUNT + 1);
        assert_int_equal(pages, COUNT * PAD / JOBROW_LIST_BYTES + 1);
        /* One that is larger than all of a page stands by itself. */
        add_history(s, done, 2, JOBROW_LIST_BYTES);
        f.limit = 2;
        cJSON *list = NULL;
        CHECK_OK(jobs_list(s->jobs, &f, &list, &f.before, &e), &e);
        assert_int_equal(cJSON_GetArraySize(list), 1);
        assert_int_equal(f.before, done + COUNT + 2);
        cJSON_Delete(list);
        service_destroy(s);
}

FRONT_MAIN(FRONT_TEST(a_long_history_costs_nothing), FRONT_TEST(large_requests_make_short_lists))
