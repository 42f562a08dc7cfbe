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

int cmd_jobs(struct ctl *c, const struct args *a, struct err *e)
{
        static const struct table_column columns[] = {{"ID", true, false}, {"NAME", false, true},
                {"NETWORK", false, true}, {"DATA SET", false, true}, {"USER", false, true},
                {"STATE", false, false}, {"DONE", true, false}, {"LOSS", true, false},
                {"ACCURACY", true, false}, {"SUBMITTED", false, false}};
        struct str path = {0};
        cJSON *tree = NULL;
        const cJSON *job;
        str_add(&path, "/v1/jobs");
        if (!path.failed) {
                add_query(&path, "limit", text_number((double)args_int(a, "limit", JOBS_SHOWN)).s);
                add_query(&path, "state", args_get(a, "state"));
                add_query(&path, "user", args_get(a, "user"));
        }
        int rc = path.failed ? err_set(e, ERR_NO_MEMORY, "no memory for a request")
                             : command_get(c, path.data, &tree, e);
        str_free(&path);
        if (rc != 0 || !tree)
                return rc;
        struct table *tb = table_create(&c->term, columns, sizeof columns / sizeof columns[0]);
        cJSON_ArrayForEach(job, rest_list(tree, "jobs"))
        {
                if (tb)
                        add_row(tb, job, (double)time(NULL));
        }
        rc = tb ? table_print(tb, stdout, e) : err_set(e, ERR_NO_MEMORY, "no memory for a table");
        table_destroy(tb);
        cJSON_Delete(tree);
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
