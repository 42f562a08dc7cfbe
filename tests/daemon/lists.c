/* Lists and quotas of a long history: what they cost does not grow with it, nor with what its requests say.
 */
#include "front.h"

#include "base/json.h"
#include "daemon/api/oipindex.h"
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

/* --- by name --- */

enum { MODELS = 1200, SETS = 40 };

static const struct identity root = {.user = "root", .operator= true };

/* Copies of the model "it", every third of them bert's; their files are not there. */
static void add_models(struct service *s, int count)
{
        char *sql = sqlite3_mprintf(
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)"
                " INSERT INTO models(name, generation, user, job, created_at, architecture, c, h, w, classes,"
                " preprocessing, metrics, bytes, inode, mtime_ns, mark)"
                " SELECT printf('m%%05d', i), generation, iif(i %% 3, 'anna', 'bert'), job, created_at,"
                " architecture, c, h, w, classes, preprocessing, metrics, bytes, inode, mtime_ns, mark"
                " FROM models, n WHERE name = 'it'",
                count);
        assert_int_equal(sqlite3_exec(database(s), sql, NULL, NULL, NULL), SQLITE_OK);
        sqlite3_free(sql);
}

static cJSON *models_part(struct service *s, const struct identity *who, struct listing *l)
{
        struct err e;
        cJSON *list = NULL;
        CHECK_OK(models_list(s->models, who, l, &list, &e), &e);
        return list;
}

static void add_name(void *ctx, const char *name, const struct err *error)
{
        cJSON *entry = cJSON_CreateObject();
        (void)error;
        cJSON_AddStringToObject(entry, "name", name);
        cJSON_AddItemToArray(ctx, entry);
}

static cJSON *names_part(struct service *s, const struct identity *who, struct listing *l)
{
        struct err e;
        cJSON *list = cJSON_CreateArray();
        CHECK_OK(models_names(s->models, who, l, add_name, list, &e), &e);
        return list;
}

static cJSON *sets_part(struct service *s, const struct identity *who, struct listing *l)
{
        return datasets_list(s->datasets, who, l);
}

/* Part by part: rising names, none twice. Their number; *ret_parts that of the parts. */
static int walk(struct service *s, const struct identity *who, int limit,
        cJSON *(*part)(struct service *s, const struct identity *who, struct listing *l), int *ret_parts)
{
        char after[LISTING_NAME] = "";
        struct listing l = {.more = true};
        int count = 0;
        for (*ret_parts = 0; l.more; ++*ret_parts) {
                const cJSON *item;
                l = (struct listing){.after = after, .limit = limit};
                cJSON *list = part(s, who, &l);
                assert_int_equal(cJSON_GetArraySize(list), l.count);
                assert_in_range(l.count, l.more ? 1 : 0, limit);
                cJSON_ArrayForEach(item, list)
                {
                        const char *name = json_field(item, "name")->valuestring;
                        assert_true(strcmp(name, after) > 0);
                        snprintf(after, sizeof after, "%s", name);
                        count++;
                }
                assert_true(l.count == 0 || strcmp(after, l.last) == 0);
                cJSON_Delete(list);
        }
        return count;
}

static void models_go_in_parts(void **state)
{
        struct service *s = front_start(*state);
        const struct {
                const struct identity *who;
                int limit, count, parts;
        } lists[] = {{&root, 500, MODELS + 1, 3}, {&root, MODELS + 1, MODELS + 1, 1},
                {&front_bert, 50, MODELS / 3, 8}, {&front_anna, 500, MODELS - MODELS / 3 + 1, 2}};
        int parts;
        front_wait_state(
                s, front_submit(s, FRONT_JOB("it", "\"epochs\":1,\"save_as\":\"it\"")), JOB_SUCCEEDED);
        add_models(s, MODELS);
        for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
                assert_int_equal(walk(s, lists[i].who, lists[i].limit, models_part, &parts), lists[i].count);
                assert_int_equal(parts, lists[i].parts);
        }
        struct listing few = {.after = "m00100", .limit = 2};
        steps(s);
        cJSON *list = models_part(s, &front_bert, &few);
        assert_in_range(steps(s), 1, 200);
        assert_string_equal(json_field(list->child, "name")->valuestring, "m00102");
        char *text = json_text(list);
        struct err e;
        cJSON *again = json_parse(text, strlen(text), &e); /* what went in raw is whole */
        assert_int_equal(cJSON_GetArraySize(json_field(again->child, "classes")), 10);
        assert_true(cJSON_IsObject(json_field(again->child, "metrics")));
        cJSON_Delete(again);
        cJSON_free(text);
        cJSON_Delete(list);
        /* What is said of a model may be much. */
        assert_int_equal(sqlite3_exec(database(s),
                                 "UPDATE models SET classes = '[\"' || printf('%700000s', '') || '\"]'"
                                 " WHERE name < 'm00011'",
                                 NULL, NULL, NULL),
                SQLITE_OK);
        assert_int_equal(walk(s, &root, MODELS + 1, models_part, &parts), MODELS + 1);
        assert_in_range(parts, 10, 11);
        assert_int_equal(walk(s, &root, MODELS + 1, names_part, &parts), MODELS + 1); /* it is read */
        assert_in_range(parts, 10, 11);
        service_destroy(s);
}

static void data_sets_go_in_parts(void **state)
{
        char path[200];
        int parts;
        for (int i = 0; i < SETS; i++) {
                snprintf(path, sizeof path, "%s/datasets/s%02d.cnnd", (char *)*state, i);
                front_write_set(path, "set", 1, 1);
        }
        struct service *s = front_start(*state);
        assert_int_equal(walk(s, &root, 7, sets_part, &parts), SETS + 1);
        assert_int_equal(parts, 6);
        assert_int_equal(walk(s, &root, SETS + 1, sets_part, &parts), SETS + 1);
        assert_int_equal(parts, 1);
        assert_int_equal(walk(s, &front_anna, 7, sets_part, &parts), 1); /* the others are nobody's yet */
        service_destroy(s);
}

/* All of an answer, in small pieces. */
static cJSON *read_stream(const struct reply_stream *r)
{
        char piece[100];
        struct str text = {0};
        struct err e;
        ssize_t n;
        while ((n = r->read(r->ctx, piece, sizeof piece)) > 0)
                str_add_bytes(&text, piece, (size_t)n);
        assert_int_equal(n, REPLY_END);
        r->close(r->ctx);
        cJSON *tree = json_parse(text.data, text.len, &e);
        assert_non_null(tree);
        str_free(&text);
        return tree;
}

/* The protocol has no pages: all of them are one answer. */
static void the_index_has_all_of_them(void **state)
{
        struct service *s = front_start(*state);
        const int counts[2][2] = {{MODELS + 1, 1}, {MODELS / 3, 0}}; /* [root, bert][all, ready] */
        front_wait_state(
                s, front_submit(s, FRONT_JOB("it", "\"epochs\":1,\"save_as\":\"it\"")), JOB_SUCCEEDED);
        add_models(s, MODELS);
        for (int i = 0; i < 4; i++) {
                struct reply_stream stream;
                struct err e;
                const cJSON *entry;
                const char *last = "";
                CHECK_OK(oipindex_open(s->models, i < 2 ? &root : &front_bert, i % 2, &stream, &e), &e);
                cJSON *list = read_stream(&stream);
                assert_int_equal(cJSON_GetArraySize(list), counts[i / 2][i % 2]);
                cJSON_ArrayForEach(entry, list)
                {
                        const char *name = json_field(entry, "name")->valuestring;
                        const bool there = strcmp(name, "it") == 0;
                        assert_true(strcmp(name, last) > 0);
                        assert_string_equal(
                                json_field(entry, "state")->valuestring, there ? "READY" : "UNAVAILABLE");
                        assert_int_equal(json_field(entry, "reason")->valuestring[0] == '\0', there);
                        last = name;
                }
                cJSON_Delete(list);
        }
        service_destroy(s);
}

FRONT_MAIN(FRONT_TEST(a_long_history_costs_nothing), FRONT_TEST(large_requests_make_short_lists),
        FRONT_TEST(models_go_in_parts), FRONT_TEST(data_sets_go_in_parts),
        FRONT_TEST(the_index_has_all_of_them))
