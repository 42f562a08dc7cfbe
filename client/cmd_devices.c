#include "client/args.h"
#include "client/command.h"
#include "client/rest.h"
#include "client/table.h"
#include "client/text.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static void add_row(struct table *tb, const cJSON *d)
{
        const char *state = rest_text(d, "state", "?");
        double job = rest_number(d, "job");
        table_cell(tb, rest_text(d, "id", "?"));
        table_cell(tb, rest_text(d, "name", ""));
        table_cell(tb, rest_text(d, "type", ""));
        table_cell(tb, text_bytes(rest_number(d, "memory")).s);
        table_styled(tb, term_state_style(state), state);
        table_cell(tb, isfinite(job) ? text_number(job).s : "");
        table_cell(tb, rest_text(d, "driver", ""));
        table_cell(tb, rest_text(d, "reason", ""));
}

/* A driver that failed, in the place of the devices that it may have. */
static void add_failed(struct table *tb, const cJSON *p)
{
        const double platform = rest_number(p, "platform");
        table_cell(tb, isfinite(platform) ? text_number(platform).s : "?");
        for (int i = 0; i < 3; i++)
                table_cell(tb, "");
        table_styled(tb, term_state_style("failed"), "failed");
        table_cell(tb, "");
        table_cell(tb, rest_text(p, "driver", ""));
        table_cell(tb, rest_text(p, "reason", ""));
}

int cmd_devices(struct ctl *c, const struct args *a, struct err *e)
{
        static const struct table_column columns[] = {{"ID", false, false}, {"NAME", false, true},
                {"TYPE", false, false}, {"MEMORY", true, false}, {"STATE", false, false},
                {"JOB", true, false}, {"DRIVER", false, true}, {"REASON", false, true}};
        cJSON *tree = NULL;
        const cJSON *d;
        (void)a;
        int rc = command_get(c, "/v1/devices", &tree, e);
        if (rc != 0 || !tree)
                return rc;
        struct table *tb = table_create(&c->term, columns, sizeof columns / sizeof columns[0]);
        cJSON_ArrayForEach(d, rest_list(tree, "devices"))
        {
                add_row(tb, d);
        }
        cJSON_ArrayForEach(d, rest_list(tree, "platforms"))
        {
                if (strcmp(rest_text(d, "state", ""), "failed") == 0)
                        add_failed(tb, d);
        }
        rc = table_print(tb, stdout, e);
        table_destroy(tb);
        cJSON_Delete(tree);
        return rc;
}
