#include "base/json.h"
#include "client/args.h"
#include "client/command.h"
#include "client/rest.h"
#include "client/table.h"
#include "client/text.h"
#include "client/transfer.h"

#include <stdio.h>

static void add_row(struct table *tb, const cJSON *d)
{
        struct str shape = {0};
        const char *state = rest_text(d, "state", ""), *error = rest_text(d, "error", "");
        rest_add_sides(&shape, json_field(d, "shape"), "x");
        table_cell(tb, rest_text(d, "name", "?"));
        table_styled(tb, term_state_style(state), state);
        table_cell(tb, shape.data);
        table_cell(tb, text_count(rest_number(d, "num_classes")).s);
        table_cell(tb, text_count(rest_number(d, "train")).s);
        table_cell(tb, text_count(rest_number(d, "val")).s);
        table_cell(tb, text_bytes(rest_number(d, "bytes")).s);
        table_cell(tb, rest_text(d, "user", ""));
        table_cell(tb, error[0] ? error : rest_text(d, "source", ""));
        str_free(&shape);
}

static double count_of(const cJSON *counts, int class_index)
{
        const cJSON *v = cJSON_GetArrayItem(counts, class_index);
        return cJSON_IsNumber(v) ? v->valuedouble : 0;
}

/* How many images each class has. */
static int print_classes(struct ctl *c, const cJSON *d, struct err *e)
{
        static const struct table_column columns[] = {
                {"CLASS", false, true}, {"TRAIN", true, false}, {"VALIDATION", true, false}};
        const cJSON *counts = json_field(d, "class_counts"), *name;
        struct table *tb = table_create(&c->term, columns, sizeof columns / sizeof columns[0]);
        int i = 0;
        cJSON_ArrayForEach(name, rest_list(d, "classes"))
        {
                table_cell(tb, cJSON_IsString(name) ? name->valuestring : "?");
                table_cell(tb, text_count(count_of(json_field(counts, "train"), i)).s);
                table_cell(tb, text_count(count_of(json_field(counts, "val"), i++)).s);
        }
        table_rule(tb);
        table_cell(tb, "all");
        table_cell(tb, text_count(rest_number(d, "train")).s);
        table_cell(tb, text_count(rest_number(d, "val")).s);
        int rc = table_print(tb, stdout, e);
        table_destroy(tb);
        return rc;
}

/* One data set: its classes, or its contact sheet into a file. */
static int show_set(struct ctl *c, const char *name, const char *sheet, struct err *e)
{
        struct str path = {0};
        struct fetch_request q = {.method = "GET", .headers = {"Accept: image/png"}};
        cJSON *tree = NULL;
        int sig = 0, rc = 0;
        str_add(&path, "/v1/datasets/");
        fetch_escape(&path, name);
        str_add(&path, sheet ? "/sheet" : "");
        q.path = path.data;
        if (path.failed)
                rc = err_set(e, ERR_NO_MEMORY, "no memory for a request");
        else if (sheet)
                rc = transfer_download(c->http, &q, sheet, &sig, e);
        else
                rc = command_get(c, path.data, &tree, e);
        if (rc == 0 && tree)
                rc = print_classes(c, tree, e);
        cJSON_Delete(tree);
        str_free(&path);
        return sig ? STATUS_SIGNAL + sig : rc;
}

int cmd_datasets(struct ctl *c, const struct args *a, struct err *e)
{
        static const struct table_column columns[] = {{"NAME", false, true}, {"STATE", false, false},
                {"IMAGE", false, false}, {"CLASSES", true, false}, {"TRAIN", true, false},
                {"VALIDATION", true, false}, {"SIZE", true, false}, {"USER", false, true},
                {"SOURCE", false, true}};
        cJSON *list = NULL;
        const cJSON *d;
        if (a->word_count)
                return show_set(c, a->words[0], args_get(a, "sheet"), e);
        if (args_has(a, "sheet"))
                return command_misused("--sheet needs the name of a data set");
        int rc = command_list(c, "/v1/datasets", "datasets", &list, e);
        if (rc != 0 || !list)
                return rc;
        struct table *tb = table_create(&c->term, columns, sizeof columns / sizeof columns[0]);
        cJSON_ArrayForEach(d, list)
        {
                add_row(tb, d);
        }
        rc = table_print(tb, stdout, e);
        table_destroy(tb);
        cJSON_Delete(list);
        return rc;
}
