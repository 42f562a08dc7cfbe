#include "daemon/http/reply.h"

#include "base/json.h"
#include "daemon/http/problem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { RETRY_SECONDS = 2 };

static void drop_body(struct reply *r)
{
        str_free(&r->text);
        if (r->has_file)
                close(r->fd);
        if (r->source.close)
                r->source.close(r->source.ctx);
        if (r->stream.close)
                r->stream.close(r->stream.ctx);
        r->has_file = false;
        r->source = (struct reply_source){0};
        r->stream = (struct reply_stream){0};
        r->type = NULL;
}

void reply_finish(struct reply *r)
{
        drop_body(r);
        for (int i = 0; i < r->header_count; i++)
                free(r->header[i].value);
        *r = (struct reply){0};
}

int reply_text(struct reply *r, int status, const char *type, struct str *text, struct err *e)
{
        if (text->failed) {
                str_free(text);
                return err_set(e, ERR_NO_MEMORY, "no memory for the answer");
        }
        drop_body(r);
        r->status = status;
        r->type = type;
        r->text = *text;
        *text = (struct str){0};
        return 0;
}

int reply_json(struct reply *r, int status, cJSON *tree, struct err *e)
{
        struct str text = {0};
        char *json = json_text(tree);
        cJSON_Delete(tree);
        if (!json)
                return err_set(e, ERR_NO_MEMORY, "no memory for the answer");
        str_add(&text, json);
        str_add(&text, "\n"); /* so that a shell's prompt stands on its own line */
        cJSON_free(json);
        return reply_text(r, status, "application/json", &text, e);
}

void reply_file(struct reply *r, const char *type, int fd, uint64_t size)
{
        drop_body(r);
        r->status = 200;
        r->type = type;
        r->fd = fd;
        r->has_file = true;
        r->size = size;
}

void reply_source(struct reply *r, const char *type, const struct reply_source *source, uint64_t size)
{
        drop_body(r);
        r->status = 200;
        r->type = type;
        r->source = *source;
        r->size = size;
}

void reply_stream(struct reply *r, const char *type, const struct reply_stream *stream)
{
        drop_body(r);
        r->status = 200;
        r->type = type;
        r->stream = *stream;
}

void reply_empty(struct reply *r, int status)
{
        drop_body(r);
        r->status = status;
}

void reply_problem(struct reply *r, int status, const struct err *e)
{
        struct str text = {0};
        if (!status)
                status = problem_status(e->code);
        problem_write(&text, status, e, r->oip);
        if (reply_text(r, status, "application/problem+json", &text, NULL) != 0)
                reply_empty(r, status);
        if (status == 401)
                reply_header(r, "WWW-Authenticate", "Bearer realm=\"cnnd\"");
        if (status == 503 || status == 429)
                reply_header(r, "Retry-After", "%d", r->retry_seconds ? r->retry_seconds : RETRY_SECONDS);
}

void reply_header(struct reply *r, const char *name, const char *fmt, ...)
{
        va_list ap;
        if (r->header_count == REPLY_MAX_HEADERS)
                return;
        va_start(ap, fmt);
        char *value;
        int len = vasprintf(&value, fmt, ap);
        va_end(ap);
        if (len < 0)
                return;
        r->header[r->header_count].name = name;
        r->header[r->header_count++].value = value;
}
