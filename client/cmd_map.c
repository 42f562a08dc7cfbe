#include "base/json.h"
#include "client/args.h"
#include "client/command.h"
#include "client/rest.h"
#include "client/table.h"
#include "client/text.h"
#include "client/transfer.h"

#include <stdio.h>
#include <string.h>

static void add_path(struct str *path, const struct args *a)
{
        static const char *const names[] = {"window", "stride", "threshold"};
        str_add(path, "/v1/models/");
        fetch_escape(path, a->words[0]);
        str_add(path, "/map");
        for (size_t i = 0, given = 0; i < sizeof names / sizeof names[0]; i++) {
                const char *value = args_get(a, names[i]);
                if (value)
                        str_addf(path, "%s%s=%s", given++ ? "&" : "?", names[i], value);
        }
}

static void add_row(struct table *tb, const char *name, double cells, double all)
{
        table_styled(tb, STYLE_BOLD, name);
        table_cell(tb, text_count(cells).s);
        table_cell(tb, text_percent(all > 0 ? cells / all : 0).s);
}

static int print_summary(const struct ctl *c, const cJSON *map, struct err *e)
{
        static const struct table_column columns[] = {
                {"CLASS", false, true}, {"CELLS", true, false}, {"SHARE", true, false}};
        const cJSON *grid = json_field(map, "grid"), *classes = json_field(map, "classes"), *count;
        double all = rest_number(grid, "rows") * rest_number(grid, "columns");
        int k = 0;
        struct table *tb = table_create(&c->term, columns, sizeof columns / sizeof columns[0]);
        cJSON_ArrayForEach(count, json_field(map, "counts"))
        {
                const cJSON *label = cJSON_GetArrayItem(classes, k++);
                add_row(tb, cJSON_IsString(label) ? label->valuestring : "?", cJSON_GetNumberValue(count),
                        all);
        }
        add_row(tb, "uncertain", rest_number(map, "uncertain"), all);
        int rc = table_print(tb, stdout, e);
        table_destroy(tb);
        fflush(stdout);
        if (rc == 0)
                command_say("-o map.png writes the picture, -o map.json every cell");
        return rc;
}

/* On a terminal every cell in numbers would help nobody. */
static int summarize(struct ctl *c, const struct fetch_request *q, struct err *e)
{
        cJSON *map = NULL;
        int rc = rest_call(c->http, q, NULL, &map, e);
        if (rc == 0)
                rc = print_summary(c, map, e);
        cJSON_Delete(map);
        return rc;
}

int cmd_map(struct ctl *c, const struct args *a, struct err *e)
{
        const char *output = args_get(a, "output");
        size_t len = output ? strlen(output) : 0;
        bool picture = len > 4 && strcmp(output + len - 4, ".png") == 0;
        struct transfer_file body;
        struct str path = {0};
        struct fetch_request q = {.method = "POST",
                .headers = {NULL, picture ? "Accept: image/png" : "Accept: application/json"},
                .stall_s = TRANSFER_MAP_S};
        add_path(&path, a);
        int sig = 0, rc = path.failed ? err_set(e, ERR_NO_MEMORY, "no memory for a request") : 0;
        if (rc == 0 && transfer_open(&body, a->words[1], &q, e) != 0) {
                rc = command_misused("%s", e->message);
        } else if (rc == 0) {
                q.path = path.data;
                if (!output && c->term.tty && !c->json)
                        rc = summarize(c, &q, e);
                else
                        rc = transfer_download(c->http, &q, output ? output : "-", &sig, e);
                transfer_close(&body);
        }
        str_free(&path);
        return sig ? STATUS_SIGNAL + sig : rc;
}
