#include "base/json.h"
#include "client/args.h"
#include "client/command.h"
#include "client/rest.h"
#include "client/text.h"
#include "client/transfer.h"

#include <stdio.h>
#include <string.h>

enum { MOST_CLASSES = 1 << 20 }; /* bytes of a list of their names */
enum { MOST_PATH = 6000 };       /* of a request, which has room for headers as well */
enum {
        NOTE = 14,
        KEY = 1,
        VALUE = 2
}; /* fields of onnx.proto: a ModelProto's metadata, and an entry of them */

/* An ONNX file on its way, and behind it an entry of metadata: fields that are repeated may stand anywhere.
 */
struct upload {
        struct transfer_file file;
        struct str more;
        size_t sent; /* of `more` */
};

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

/* A field of bytes, as Protocol Buffers write it. */
static void add_field(struct str *s, int number, const void *bytes, size_t len)
{
        char head[16];
        size_t n = 0, rest = len;
        head[n++] = (char)(number << 3 | 2);
        do
                head[n++] = (char)((rest & 0x7f) | (rest > 0x7f ? 0x80 : 0));
        while (rest >>= 7);
        str_add_bytes(s, head, n);
        str_add_bytes(s, bytes, len);
}

static int64_t on_source(void *data, void *bytes, size_t len)
{
        struct upload *u = data;
        const int64_t n = transfer_source(&u->file, bytes, len);
        if (n != 0)
                return n;
        const size_t left = u->more.len - u->sent, some = left < len ? left : len;
        if (some)
                memcpy(bytes, u->more.data + u->sent, some);
        u->sent += some;
        return (int64_t)some;
}

/* A name a line, as JSON; empty lines at the end are none. */
static int read_classes(struct str *json, const char *file, struct err *e)
{
        static const char mark[] = "\xEF\xBB\xBF"; /* of UTF-8, as Windows writes it */
        struct str text = {0};
        int rc = transfer_read(file, MOST_CLASSES, &text, e);
        while (rc == 0 && text.len > 0 && strchr("\r\n", text.data[text.len - 1]))
                text.data[--text.len] = '\0';
        char *line = rc == 0 && text.len ? text.data : NULL;
        if (line && strncmp(line, mark, sizeof mark - 1) == 0)
                line += sizeof mark - 1;
        if (rc == 0 && (!line || !*line))
                rc = err_set(e, ERR_INVALID, "%s names no classes", file);
        for (char *next; rc == 0 && line; line = next) {
                next = strchr(line, '\n');
                if (next)
                        *next++ = '\0';
                line[strcspn(line, "\r")] = '\0';
                str_add(json, json->len ? "," : "[");
                str_add_json(json, line);
        }
        str_add(json, "]");
        str_free(&text);
        if (rc == 0 && json->failed)
                rc = err_set(e, ERR_NO_MEMORY, "no memory for names of classes");
        return rc;
}

/* Names of classes, into the file where that is ONNX: there may be more than fit into a query. */
static int add_classes(struct upload *u, struct str *path, const struct args *a, struct err *e)
{
        static const char key[] = "classes";
        struct str json = {0}, entry = {0};
        int rc = read_classes(&json, args_get(a, key), e);
        if (rc == 0 && strcmp(command_model_form(a->words[1]), "/onnx") == 0) {
                add_field(&entry, KEY, key, sizeof key - 1);
                add_field(&entry, VALUE, json.data, json.len);
                add_field(&u->more, NOTE, entry.data, entry.len);
                if (entry.failed || u->more.failed)
                        rc = err_set(e, ERR_NO_MEMORY, "no memory for names of classes");
        } else if (rc == 0) {
                add_parameter(path, key, json.data);
                if (path->len > MOST_PATH)
                        rc = err_set(e, ERR_TOO_LARGE,
                                "%s has more names than a request has room for; \"classes\" in the file's "
                                "metadata may have as many as there are",
                                args_get(a, key));
        }
        str_free(&json);
        str_free(&entry);
        return rc;
}

static int make_path(struct upload *u, struct str *path, const struct args *a, struct err *e)
{
        const char *file = a->words[1], *preprocessing = args_get(a, "preprocessing");
        int rc = 0;
        str_add(path, "/v1/models/");
        fetch_escape(path, a->words[0]);
        str_add(path, command_model_form(file));
        if (args_has(a, "input"))
                add_input(path, args_get(a, "input"));
        if (preprocessing)
                add_parameter(path, "preprocessing", preprocessing);
        if (args_has(a, "classes"))
                rc = add_classes(u, path, a, e);
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
        struct upload u = {.file = {.e = e}};
        struct fetch_reply reply = {0};
        struct fetch_request q = {.method = "PUT", .stall_s = TRANSFER_IMPORT_S};
        struct str path = {0};
        cJSON *model = NULL;
        int rc = make_path(&u, &path, a, e);
        if (rc == 0)
                rc = transfer_open(&u.file, a->words[1], &q, e);
        if (rc == 0) {
                q.path = path.data;
                q.source = on_source;
                q.source_data = &u;
                q.source_len += u.more.len;
                q.headers[0] = "Content-Type: application/octet-stream";
                rc = rest_call(c->http, &q, &reply, c->json ? NULL : &model, e);
        }
        if (rc == 0 && c->json)
                command_print_json(&reply);
        else if (rc == 0)
                print_model(model, reply.status == 200);
        cJSON_Delete(model);
        fetch_reply_finish(&reply);
        transfer_close(&u.file);
        str_free(&u.more);
        str_free(&path);
        return rc;
}
