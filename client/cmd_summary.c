#include "base/json.h"
#include "client/args.h"
#include "client/command.h"
#include "client/rest.h"
#include "client/table.h"
#include "client/text.h"
#include "client/transfer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ARCHITECTURE_MAX = 4 << 20 };

static void add_costs(struct table *tb, enum style style, const cJSON *from)
{
        table_styled(tb, style, text_count(rest_number(from, "parameters")).s);
        table_styled(tb, style, text_si(rest_number(from, "flops")).s);
        table_styled(tb, style, text_bytes(rest_number(from, "bytes")).s);
}

static void add_total(struct table *tb, const char *title, enum style style, const cJSON *from)
{
        if (!from)
                return;
        table_styled(tb, style, title);
        table_cell(tb, "");
        table_cell(tb, "");
        add_costs(tb, style, from);
}

static int print_layers(const struct ctl *c, const cJSON *summary, struct err *e)
{
        static const struct table_column columns[] = {{"LAYER", false, true}, {"TYPE", false, false},
                {"OUTPUT", false, false}, {"PARAMETERS", true, false}, {"FLOPS", true, false},
                {"BYTES", true, false}};
        struct table *tb = table_create(&c->term, columns, sizeof columns / sizeof columns[0]);
        const cJSON *layer;
        cJSON_ArrayForEach(layer, rest_list(summary, "layers"))
        {
                struct str shape = {0};
                rest_add_sides(&shape, json_field(layer, "output_shape"), c->term.utf8 ? " × " : " x ");
                table_cell(tb, rest_text(layer, "name", "?"));
                table_cell(tb, rest_text(layer, "type", "?"));
                table_cell(tb, shape.data);
                add_costs(tb, STYLE_PLAIN, layer);
                str_free(&shape);
        }
        const cJSON *totals = json_field(summary, "totals");
        table_rule(tb);
        add_total(tb, "convolution", STYLE_PLAIN, json_field(totals, "convolution"));
        add_total(tb, "fully connected", STYLE_PLAIN, json_field(totals, "fully_connected"));
        add_total(tb, "total", STYLE_BOLD, totals);
        int rc = table_print(tb, stdout, e);
        table_destroy(tb);
        return rc;
}

static int print_summary(const struct ctl *c, const cJSON *summary, struct err *e)
{
        const cJSON *memory = json_field(summary, "memory");
        int rc = print_layers(c, summary, e);
        if (rc == 0 && memory)
                printf("\nmemory on the device: %s training, %s inference\n",
                        text_bytes(rest_number(memory, "training")).s,
                        text_bytes(rest_number(memory, "inference")).s);
        return rc;
}

/* A posted architecture: what the file holds, with the options beside it. */
static int post_file(
        struct ctl *c, const struct args *a, struct fetch_reply *ret_reply, cJSON **ret, struct err *e)
{
        struct str text = {0};
        int sides[3], n = args_has(a, "input") ? args_shape(args_get(a, "input"), sides, 3) : 0;
        int rc = transfer_read(a->words[0], ARCHITECTURE_MAX, &text, e);
        if (rc != 0)
                return rc;
        cJSON *arch = json_parse(text.data ? text.data : "", text.len, e),
              *body = arch ? cJSON_CreateObject() : NULL;
        str_free(&text);
        if (!arch)
                return err_wrap(e, "%s", a->words[0]);
        cJSON_AddItemToObject(body, "architecture", arch);
        if (n)
                cJSON_AddItemToObject(body, "input", cJSON_CreateIntArray(sides, n));
        if (args_has(a, "batch"))
                cJSON_AddNumberToObject(body, "batch", (double)args_int(a, "batch", 1));
        if (args_has(a, "num-classes"))
                cJSON_AddNumberToObject(body, "num_classes", (double)args_int(a, "num-classes", 1));
        char *job = json_text(body);
        cJSON_Delete(body);
        if (!job)
                return err_set(e, ERR_NO_MEMORY, "no memory for a request");
        struct fetch_request q = {.method = "POST",
                .path = "/v1/architectures/summary",
                .headers = {"Content-Type: application/json", "Accept: application/json"},
                .body = job,
                .body_len = strlen(job)};
        rc = rest_call(c->http, &q, ret_reply, ret, e);
        free(job);
        return rc;
}

static int get_preset(
        struct ctl *c, const struct args *a, struct fetch_reply *ret_reply, cJSON **ret, struct err *e)
{
        static const char *const options[][2] = {
                {"input", "input"}, {"batch", "batch"}, {"num-classes", "num_classes"}};
        struct str path = {0};
        const char *gap = "?";
        str_add(&path, "/v1/architectures/");
        fetch_escape(&path, a->words[0]);
        str_add(&path, "/summary");
        for (int i = 0; i < 3; i++) {
                const char *value = args_get(a, options[i][0]);
                if (!value)
                        continue;
                str_addf(&path, "%s%s=", gap, options[i][1]);
                fetch_escape(&path, value);
                gap = "&";
        }
        int rc = path.failed ? err_set(e, ERR_NO_MEMORY, "no memory for a request")
                             : rest_get(c->http, path.data, ret_reply, ret, e);
        str_free(&path);
        return rc;
}

int cmd_summary(struct ctl *c, const struct args *a, struct err *e)
{
        size_t len = strlen(a->words[0]);
        int sides[3];
        struct fetch_reply reply = {0};
        cJSON *tree = NULL;
        if (args_has(a, "input") && args_shape(args_get(a, "input"), sides, 3) != 3)
                return command_misused("--input takes channels, height and width, like 1x224x224");
        bool file = len > 5 && strcmp(a->words[0] + len - 5, ".json") == 0;
        int rc = (file ? post_file : get_preset)(c, a, &reply, &tree, e);
        if (rc == 0 && c->json)
                command_print_json(&reply);
        else if (rc == 0)
                rc = print_summary(c, tree, e);
        fetch_reply_finish(&reply);
        cJSON_Delete(tree);
        return rc;
}
