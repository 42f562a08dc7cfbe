#include "base/json.h"
#include "client/args.h"
#include "client/command.h"
#include "client/rest.h"
#include "client/table.h"
#include "client/text.h"

#include <stdio.h>

static void add_row(struct table *tb, const cJSON *d)
{
        struct str shape = {0};
        const cJSON *side;
        const char *state = rest_text(d, "state", ""), *error = rest_text(d, "error", "");
        cJSON_ArrayForEach(side, json_field(d, "shape"))
        {
                str_addf(&shape, "%s%s", shape.len ? "x" : "",
                        cJSON_IsNumber(side) ? text_number(side->valuedouble).s : "?");
        }
        table_cell(tb, rest_text(d, "name", "?"));
        table_styled(tb, term_state_style(state), state);
        table_cell(tb, shape.data);
        table_cell(tb, text_count(rest_number(d, "num_classes")).s);
        table_cell(tb, text_count(rest_number(d, "train")).s);
        table_cell(tb, text_count(rest_number(d, "val")).s);
        table_cell(tb, error[0] ? error : rest_text(d, "source", ""));
        str_free(&shape);
}

int cmd_datasets(struct ctl *c, const struct args *a, struct err *e)
{
        static const struct table_column columns[] = {{"NAME", false, true}, {"STATE", false, false},
                {"IMAGE", false, false}, {"CLASSES", true, false}, {"TRAIN", true, false},
                {"VALIDATION", true, false}, {"SOURCE", false, true}};
        cJSON *tree = NULL;
        const cJSON *d;
        (void)a;
        int rc = command_get(c, "/v1/datasets", &tree, e);
        if (rc != 0 || !tree)
                return rc;
        struct table *tb = table_create(&c->term, columns, sizeof columns / sizeof columns[0]);
        cJSON_ArrayForEach(d, rest_list(tree, "datasets"))
        {
                if (tb)
                        add_row(tb, d);
        }
        rc = tb ? table_print(tb, stdout, e) : err_set(e, ERR_NO_MEMORY, "no memory for a table");
        table_destroy(tb);
        cJSON_Delete(tree);
        return rc;
}
