#include "base/json.h"
#include "client/args.h"
#include "client/command.h"
#include "client/rest.h"
#include "client/table.h"
#include "client/text.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { JOBS_SHOWN = 20 };

/* A preset or data set as a job's request names it: a text, or an object with a name. */
static const char *name_in(const cJSON *request, const char *key)
{
        const cJSON *v = json_field(request, key);
        return cJSON_IsString(v) ? v->valuestring : rest_text(v, "name", v ? "own" : "");
}

static void add_row(struct table *tb, const cJSON *job, double now)
{
        const cJSON *request = json_field(job, "request"), *progress = json_field(job, "progress");
        const cJSON *metrics = json_field(job, "metrics");
        const char *state = rest_text(job, "state", "?");
        double done = rest_number(progress, "step") / rest_number(progress, "steps");
        double val_acc = rest_number(metrics, "val_acc");
        table_cell(tb, text_number(rest_number(job, "id")).s);
        table_cell(tb, rest_text(job, "name", ""));
        table_cell(tb, strcmp(rest_text(job, "type", ""), "train") == 0 ? name_in(request, "architecture")
                                                                        : "classify");
        table_cell(tb, name_in(request, "dataset"));
        table_cell(tb, rest_text(job, "user", ""));
        table_styled(tb, term_state_style(state), state);
        table_cell(tb, isfinite(done) ? text_percent(floor(done * 1000) / 1000).s : "");
        table_cell(tb, text_loss(rest_number(metrics, "train_loss")).s);
        table_cell(tb, text_percent(isfinite(val_acc) ? val_acc : rest_number(metrics, "train_acc")).s);
        table_cell(tb, text_age(text_time(rest_text(job, "created_at", NULL)), now).s);
}

static void add_query(struct str *path, const char *name, const char *value)
{
        if (!value)
                return;
        str_addf(path, "%s%s=", strchr(path->data, '?') ? "&" : "?", name);
        fetch_escape(path, value);
}

/* The next `most` jobs, older than `before` where that is not 0. */
static int get_page(
        struct ctl *c, const struct args *a, int64_t most, int64_t before, cJSON **ret, struct err *e)
{
        struct str path = {0};
        str_add(&path, "/v1/jobs");
        if (!path.failed) {
                add_query(&path, "limit", text_number((double)most).s);
                add_query(&path, "state", args_get(a, "state"));
                add_query(&path, "user", args_get(a, "user"));
                add_query(&path, "before", before ? text_number((double)before).s : NULL);
        }
        int rc = path.failed ? err_set(e, ERR_NO_MEMORY, "no memory for a request")
                             : command_get(c, path.data, ret, e);
        str_free(&path);
        return rc;
}

/* A server cuts a list short whose jobs are large, and says where to go on. */
static int add_pages(struct ctl *c, const struct args *a, struct table *tb, struct err *e)
{
        int64_t left = args_int(a, "limit", JOBS_SHOWN), before = 0, had;
        int rc;
        do {
                cJSON *tree = NULL;
                const cJSON *job;
                had = left;
                rc = get_page(c, a, left, before, &tree, e);
                double next = rest_number(tree, "before");
                before = next >= 1 && next <= JSON_WHOLE_MAX ? (int64_t)next : 0;
                cJSON_ArrayForEach(job, rest_list(tree, "jobs"))
                {
                        add_row(tb, job, (double)time(NULL));
                        left--;
                }
                cJSON_Delete(tree);
        } while (rc == 0 && before && left > 0 && left < had);
        return rc;
}

int cmd_jobs(struct ctl *c, const struct args *a, struct err *e)
{
        static const struct table_column columns[] = {{"ID", true, false}, {"NAME", false, true},
                {"NETWORK", false, true}, {"DATA SET", false, true}, {"USER", false, true},
                {"STATE", false, false}, {"DONE", true, false}, {"LOSS", true, false},
                {"ACCURACY", true, false}, {"SUBMITTED", false, false}};
        struct table *tb = table_create(&c->term, columns, sizeof columns / sizeof columns[0]);
        int rc = add_pages(c, a, tb, e);
        if (rc == 0 && !c->json)
                rc = table_print(tb, stdout, e);
        table_destroy(tb);
        return rc;
}

int cmd_control(struct ctl *c, const struct args *a, struct err *e)
{
        int status = STATUS_DONE;
        for (int i = 0; i < a->word_count; i++) {
                char path[80];
                struct fetch_reply reply = {0};
                struct fetch_request q = {
                        .method = "POST", .path = path, .headers = {"Accept: application/json"}};
                snprintf(path, sizeof path, "/v1/jobs/%" PRId64 "/%s", args_id(a, i), a->command->name);
                int rc = rest_call(c->http, &q, &reply, NULL, e);
                if (rc == ERR_CLOSED)
                        return rc;
                if (rc != 0)
                        status = command_failed(e);
                else if (c->json)
                        command_print_json(&reply);
                else
                        printf("job %" PRId64 ": %s asked for\n", args_id(a, i), a->command->name);
                fetch_reply_finish(&reply);
        }
        return status;
}
