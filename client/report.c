#include "client/command.h"
#include "client/port.h"
#include "client/rest.h"
#include "client/text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void say(const char *text, const char *pointer)
{
        struct str s = {0};
        bool utf8 = port_utf8();
        str_add(&s, "cnnctl: ");
        text_add_clean(&s, text, utf8);
        if (pointer[0]) {
                str_add(&s, " (at ");
                text_add_clean(&s, pointer, utf8);
                str_add(&s, ")");
        }
        str_add(&s, "\n");
        fputs(s.failed ? "cnnctl: no memory for a message\n" : s.data, stderr);
        str_free(&s);
}

void command_say(const char *fmt, ...)
{
        char text[700];
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(text, sizeof text, fmt, ap);
        va_end(ap);
        say(text, "");
}

int command_misused(const char *fmt, ...)
{
        char text[700];
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(text, sizeof text, fmt, ap);
        va_end(ap);
        say(text, "");
        return STATUS_USAGE;
}

int command_failed(const struct err *e)
{
        fflush(stdout);
        if (e->message[0])
                say(e->message, e->pointer);
        if (e->code == ERR_CLOSED)
                fputs("        CNND_URL or --url say where the server is\n", stderr);
        if (e->code == ERR_LOGIN)
                fputs("        give a token by CNND_TOKEN or --token\n", stderr);
        return e->code == ERR_CLOSED ? STATUS_NO_SERVER : STATUS_FAILED;
}

int command_write(const void *bytes, size_t len, struct err *e)
{
        if (fwrite(bytes, 1, len, stdout) == len && fflush(stdout) == 0)
                return 0;
        return errno == EPIPE ? err_set(e, ERR_CANCELLED, "%s", "") : err_errno(e, errno, "standard output");
}

void command_print_json(const struct fetch_reply *r)
{
        if (r->body.len)
                fwrite(r->body.data, 1, r->body.len, stdout);
        if (r->body.len == 0 || r->body.data[r->body.len - 1] != '\n')
                fputc('\n', stdout);
}

int command_get(struct ctl *c, const char *path, cJSON **ret, struct err *e)
{
        struct fetch_reply reply = {0};
        cJSON *tree = NULL;
        int rc = rest_get(c->http, path, &reply, &tree, e);
        if (rc == 0 && c->json)
                command_print_json(&reply);
        else if (rc == 0)
                *ret = tree;
        if (c->json)
                cJSON_Delete(tree);
        fetch_reply_finish(&reply);
        return rc;
}

/* The next part of a list: *after is the name behind which it begins, NULL for the first, and then that of
   the part behind it, NULL for none; the caller frees it. */
static int get_part(
        struct ctl *c, const char *path, char **after, struct fetch_reply *reply, cJSON **ret, struct err *e)
{
        struct str at = {0};
        str_add(&at, path);
        if (*after) {
                str_add(&at, "?after=");
                fetch_escape(&at, *after);
        }
        int rc = at.failed ? err_set(e, ERR_NO_MEMORY, "no memory for a request")
                           : rest_get(c->http, at.data, reply, ret, e);
        str_free(&at);
        if (rc)
                return rc;
        const char *next = rest_text(*ret, "after", NULL);
        char *kept = next && (!*after || strcmp(next, *after) > 0) ? strdup(next) : NULL;
        free(*after);
        *after = kept;
        return 0;
}

int command_list(struct ctl *c, const char *path, const char *key, cJSON **ret, struct err *e)
{
        cJSON *list = cJSON_CreateArray();
        char *after = NULL;
        int rc;
        do {
                struct fetch_reply reply = {0};
                cJSON *tree = NULL;
                rc = get_part(c, path, &after, &reply, &tree, e);
                if (rc == 0 && c->json)
                        command_print_json(&reply);
                cJSON *items = cJSON_DetachItemFromObjectCaseSensitive(tree, key), *item;
                while (!c->json && (item = cJSON_DetachItemFromArray(items, 0)) != NULL)
                        cJSON_AddItemToArray(list, item);
                cJSON_Delete(items);
                cJSON_Delete(tree);
                fetch_reply_finish(&reply);
        } while (rc == 0 && after);
        free(after);
        if (rc || c->json)
                cJSON_Delete(list);
        else
                *ret = list;
        return rc;
}
