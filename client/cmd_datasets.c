#include "base/json.h"
#include "client/args.h"
#include "client/command.h"
#include "client/rest.h"
#include "client/table.h"
#include "client/tar.h"
#include "client/text.h"
#include "client/transfer.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

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

struct archive {
        struct tar *tar;
        struct err *e;
};

static int64_t on_source(void *data, void *bytes, size_t len)
{
        struct archive *ar = data;
        return tar_read(ar->tar, bytes, len, ar->e);
}

static void add_query(struct str *path, const struct args *a)
{
        static const char *const options[] = {"size", "fit", "channels", "val"};
        char gap = '?';
        for (int i = 0; i < 4; i++) {
                const char *value = args_get(a, options[i]);
                if (!value)
                        continue;
                str_addf(path, "%c%s=", gap, options[i]);
                fetch_escape(path, value);
                gap = '&';
        }
}

static int put(struct ctl *c, const char *path, const char *from, struct fetch_reply *ret, struct err *e)
{
        struct fetch_request q = {
                .method = "PUT", .path = path, .headers = {NULL, "Accept: application/json"}};
        struct transfer_file file = {.fd = -1};
        struct archive ar = {.e = e};
        struct stat st;
        int rc = 0;
        if (stat(from, &st) == 0 && S_ISDIR(st.st_mode)) {
                rc = tar_create(from, &ar.tar, e);
                if (rc == 0) {
                        q.headers[0] = "Content-Type: application/x-tar";
                        q.source = on_source;
                        q.source_data = &ar;
                        q.source_len = tar_size(ar.tar);
                }
        } else {
                rc = transfer_open(&file, from, &q, e);
        }
        if (rc != 0)
                return command_misused("%s", e->message);
        rc = rest_call(c->http, &q, ret, NULL, e);
        tar_destroy(ar.tar);
        transfer_close(&file);
        return rc;
}

int cmd_import(struct ctl *c, const struct args *a, struct err *e)
{
        struct fetch_reply reply = {0};
        struct str path = {0};
        str_add(&path, "/v1/datasets/");
        fetch_escape(&path, a->words[0]);
        add_query(&path, a);
        int rc = path.failed ? err_set(e, ERR_NO_MEMORY, "no memory for a request")
                             : put(c, path.data, a->words[1], &reply, e);
        if (rc == 0 && c->json)
                command_print_json(&reply);
        else if (rc == 0)
                printf("data set %s: %s\n", a->words[0],
                        reply.status == 202 ? "received, being imported (cnnctl datasets)" : "imported");
        fetch_reply_finish(&reply);
        str_free(&path);
        return rc;
}
