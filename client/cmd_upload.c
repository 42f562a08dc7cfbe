#include "base/json.h"
#include "client/args.h"
#include "client/command.h"
#include "client/rest.h"
#include "client/text.h"
#include "client/transfer.h"

#include <stdio.h>
#include <string.h>

enum { MOST_CLASSES = 1 << 20 }; /* bytes of a list of their names */

/* A parameter of the query, whose value is JSON. */
static void add_parameter(struct str *path, const char *name, const char *json)
{
        str_addf(path, "%s%s=", path->data && strchr(path->data, '?') ? "&" : "?", name);
        fetch_escape(path, json);
}

static void add_input(struct str *path, const char *shape)
{
        int sides[4];
        struct str json = {0};
        const int n = args_shape(shape, sides, 4);
        for (int i = 0; i < n; i++)
                str_addf(&json, "%s%d", i ? "," : "[", sides[i]);
        str_add(&json, "]");
        add_parameter(path, "input", json.failed ? "" : json.data);
        path->failed = path->failed || json.failed;
        str_free(&json);
}

/* A name a line; empty lines at the end are none. */
static int add_classes(struct str *path, const char *file, struct err *e)
{
        struct str text = {0}, json = {0};
        int rc = transfer_read(file, MOST_CLASSES, &text, e);
        while (rc == 0 && text.len > 0 && strchr("\r\n", text.data[text.len - 1]))
                text.data[--text.len] = '\0';
        for (char *line = text.data, *next; rc == 0 && line; line = next) {
                next = strchr(line, '\n');
                if (next)
                        *next++ = '\0';
                line[strcspn(line, "\r")] = '\0';
                str_add(&json, json.len ? "," : "[");
                str_add_json(&json, line);
        }
        str_add(&json, "]");
        if (rc == 0)
                add_parameter(path, "classes", json.failed ? "" : json.data);
        path->failed = path->failed || json.failed;
        str_free(&text);
        str_free(&json);
        return rc;
}

static int make_path(struct str *path, const struct args *a, struct err *e)
{
        const char *file = a->words[1], *preprocessing = args_get(a, "preprocessing");
        int rc = 0;
        str_add(path, "/v1/models/");
        fetch_escape(path, a->words[0]);
        str_add(path, command_model_form(file));
        if (args_has(a, "input"))
                add_input(path, args_get(a, "input"));
        if (args_has(a, "classes"))
                rc = add_classes(path, args_get(a, "classes"), e);
        if (preprocessing)
                add_parameter(path, "preprocessing", preprocessing);
        if (rc == 0 && path->failed)
                rc = err_set(e, ERR_NO_MEMORY, "no memory for a request");
        return rc;
}

static void print_model(const cJSON *model, bool replaced)
{
        struct str sides = {0};
        const cJSON *classes = json_field(model, "classes");
        rest_add_sides(&sides, json_field(model, "input"), "x");
        printf("model %s: %s, images of %s, %d classes, %s\n", rest_text(model, "name", "?"),
                replaced ? "replaced" : "new", sides.data && !sides.failed ? sides.data : "?",
                cJSON_GetArraySize(classes), text_bytes(rest_number(model, "bytes")).s);
        fflush(stdout);
        str_free(&sides);
}

int cmd_upload(struct ctl *c, const struct args *a, struct err *e)
{
        struct transfer_file file = {.e = e};
        struct fetch_reply reply = {0};
        struct fetch_request q = {.method = "PUT", .stall_s = TRANSFER_IMPORT_S};
        struct str path = {0};
        cJSON *model = NULL;
        int rc = make_path(&path, a, e);
        if (rc == 0)
                rc = transfer_open(&file, a->words[1], &q, e);
        if (rc == 0) {
                q.path = path.data;
                q.headers[0] = "Content-Type: application/octet-stream";
                rc = rest_call(c->http, &q, &reply, c->json ? NULL : &model, e);
        }
        if (rc == 0 && c->json)
                command_print_json(&reply);
        else if (rc == 0)
                print_model(model, reply.status == 200);
        cJSON_Delete(model);
        fetch_reply_finish(&reply);
        transfer_close(&file);
        str_free(&path);
        return rc;
}
