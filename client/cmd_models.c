#include "base/json.h"
#include "client/args.h"
#include "client/command.h"
#include "client/rest.h"
#include "client/table.h"
#include "client/text.h"
#include "client/transfer.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static void add_row(struct table *tb, const cJSON *m, double now)
{
        struct str input = {0};
        const cJSON *arch = json_field(m, "architecture"), *classes = json_field(m, "classes");
        const cJSON *metrics = json_field(m, "metrics");
        double val_acc = rest_number(metrics, "val_acc"), job = rest_number(m, "job");
        rest_add_sides(&input, json_field(m, "input"), "x");
        table_cell(tb, rest_text(m, "name", "?"));
        table_cell(tb, cJSON_IsString(arch) ? arch->valuestring : rest_text(arch, "name", "own"));
        table_cell(tb, input.data);
        table_cell(tb, cJSON_IsArray(classes) ? text_count(cJSON_GetArraySize(classes)).s : "");
        table_cell(tb, text_percent(isfinite(val_acc) ? val_acc : rest_number(metrics, "train_acc")).s);
        table_cell(tb, text_bytes(rest_number(m, "bytes")).s);
        table_cell(tb, isfinite(job) ? text_number(job).s : "");
        table_cell(tb, rest_text(m, "user", ""));
        table_cell(tb, text_age(text_time(rest_text(m, "created_at", NULL)), now).s);
        str_free(&input);
}

int cmd_models(struct ctl *c, const struct args *a, struct err *e)
{
        static const struct table_column columns[] = {{"NAME", false, true}, {"NETWORK", false, true},
                {"INPUT", false, false}, {"CLASSES", true, false}, {"ACCURACY", true, false},
                {"SIZE", true, false}, {"JOB", true, false}, {"USER", false, true}, {"MADE", false, false}};
        cJSON *list = NULL;
        const cJSON *m;
        (void)a;
        int rc = command_list(c, "/v1/models", "models", &list, e);
        if (rc != 0 || !list)
                return rc;
        struct table *tb = table_create(&c->term, columns, sizeof columns / sizeof columns[0]);
        cJSON_ArrayForEach(m, list)
        {
                add_row(tb, m, (double)time(NULL));
        }
        rc = table_print(tb, stdout, e);
        table_destroy(tb);
        fflush(stdout);
        cJSON_ArrayForEach(m, list)
        {
                if (rest_text(m, "error", NULL))
                        command_say("%s", rest_text(m, "error", NULL));
        }
        cJSON_Delete(list);
        return rc;
}

const char *command_model_form(const char *file)
{
        const size_t n = strlen(file);
        return n > 5 && strcmp(file + n - 5, ".onnx") == 0 ? "/onnx" : "/weights";
}

int cmd_export(struct ctl *c, const struct args *a, struct err *e)
{
        struct str path = {0};
        struct fetch_request q = {.method = "GET"};
        int sig = 0;
        str_add(&path, "/v1/models/");
        fetch_escape(&path, a->words[0]);
        str_add(&path, command_model_form(a->words[1]));
        q.path = path.data;
        int rc = path.failed ? err_set(e, ERR_NO_MEMORY, "no memory for a request")
                             : transfer_download(c->http, &q, a->words[1], &sig, e);
        if (rc == 0 && strcmp(a->words[1], "-") != 0 && c->term.tty && !c->json)
                fprintf(stderr, "%s written\n", a->words[1]);
        str_free(&path);
        return sig ? STATUS_SIGNAL + sig : rc;
}
