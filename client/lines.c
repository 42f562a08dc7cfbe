#include "client/lines.h"
#include "client/command.h"
#include "client/text.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

static bool is_plain(const char *text)
{
        for (const unsigned char *p = (const unsigned char *)text; *p; p++)
                if (!isalnum(*p) && !strchr("._-:/+", *p))
                        return false;
        return text[0] != '\0';
}

static void add_value(struct str *s, const cJSON *v)
{
        if (cJSON_IsNumber(v)) {
                str_add(s, text_number(v->valuedouble).s);
        } else if (cJSON_IsString(v) && is_plain(v->valuestring)) {
                str_add(s, v->valuestring);
        } else if (cJSON_IsString(v)) {
                str_add_json(s, v->valuestring);
        } else if (cJSON_IsBool(v)) {
                str_add(s, cJSON_IsTrue(v) ? "true" : "false");
        } else {
                str_add(s, "nan");
        }
}

static void add_event(struct str *s, const char *kind, const cJSON *data)
{
        bool validation = strcmp(kind, "validation") == 0, end = strcmp(kind, "end") == 0;
        bool checkpoint = strcmp(kind, "checkpoint") == 0;
        bool known =
                validation || end || checkpoint || strcmp(kind, "train") == 0 || strcmp(kind, "state") == 0;
        const char *gap = "";
        if (!known) {
                str_addf(s, "event=%s", is_plain(kind) ? kind : "?");
                gap = " ";
        }
        const cJSON *v;
        cJSON_ArrayForEach(v, data)
        {
                const char *key = v->string ? v->string : "?";
                if (cJSON_IsObject(v) || cJSON_IsArray(v) || !is_plain(key))
                        continue;
                if (end && strcmp(key, "state") == 0)
                        key = "end";
                else if (checkpoint && strcmp(key, "step") == 0)
                        key = "checkpoint";
                bool val = validation && (strcmp(key, "loss") == 0 || strcmp(key, "acc") == 0);
                str_addf(s, "%s%s%s=", gap, val ? "val_" : "", key);
                add_value(s, v);
                gap = " ";
        }
}

static int print(struct str *line, struct err *e)
{
        str_add(line, "\n");
        int rc = line->failed ? err_set(e, ERR_NO_MEMORY, "no memory for a line")
                              : command_write(line->data, line->len, e);
        str_free(line);
        return rc;
}

int lines_print(const struct event *ev, const cJSON *data, struct err *e)
{
        struct str line = {0};
        add_event(&line, ev->kind, data);
        return print(&line, e);
}

int lines_print_json(const struct event *ev, struct err *e)
{
        struct str line = {0};
        str_addf(&line, "{\"id\":%" PRId64 ",\"event\":", ev->id);
        str_add_json(&line, ev->kind);
        str_addf(&line, ",\"data\":%s}", ev->data);
        return print(&line, e);
}
