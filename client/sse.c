#include "client/sse.h"

#include <stdlib.h>
#include <string.h>

enum { SSE_MAX = 16 << 20, ID_DIGITS = 18, RETRY_DIGITS = 6 };

void sse_finish(struct sse *s)
{
        str_free(&s->line);
        str_free(&s->kind);
        str_free(&s->data);
        *s = (struct sse){0};
}

/* -1 unless `text` is 1 to `digits` decimal digits and nothing else. */
static int64_t whole_number(const char *text, size_t digits)
{
        size_t n = strspn(text, "0123456789");
        return n == 0 || n > digits || text[n] ? -1 : strtoll(text, NULL, 10);
}

static int dispatch(struct sse *s, event_sink sink, void *sink_data)
{
        struct event ev = {.id = s->id - 1,
                .kind = s->kind.len ? s->kind.data : "message",
                .data = s->data.data ? s->data.data : ""};
        int rc = s->has_data ? sink(sink_data, &ev) : 0;
        str_clear(&s->kind);
        str_clear(&s->data);
        s->has_data = false;
        return rc;
}

static void take_field(struct sse *s, const char *name, const char *value)
{
        if (strcmp(name, "data") == 0) {
                if (s->has_data)
                        str_add(&s->data, "\n");
                str_add(&s->data, value);
                s->has_data = true;
        } else if (strcmp(name, "event") == 0) {
                str_clear(&s->kind);
                str_add(&s->kind, value);
        } else if (strcmp(name, "id") == 0) {
                s->id = whole_number(value, ID_DIGITS) + 1;
        } else if (strcmp(name, "retry") == 0 && whole_number(value, RETRY_DIGITS) >= 0) {
                s->retry_ms = (int)whole_number(value, RETRY_DIGITS);
        }
}

static int take_line(struct sse *s, event_sink sink, void *sink_data)
{
        char *line = s->line.data ? s->line.data : (char[]){""};
        if (!s->past_start && strncmp(line, "\xEF\xBB\xBF", 3) == 0)
                line += 3;
        s->past_start = true;
        if (*line == '\0')
                return dispatch(s, sink, sink_data);
        char *value = line + strcspn(line, ":");
        if (value == line) /* a comment, the server's heartbeat */
                return 0;
        if (*value == ':') {
                *value++ = '\0';
                value += *value == ' ';
        }
        take_field(s, line, value);
        return 0;
}

int sse_feed(struct sse *s, const void *bytes, size_t len, event_sink sink, void *sink_data, struct err *e)
{
        const char *p = bytes, *end = p + len;
        while (p < end) {
                if (s->after_cr && *p == '\n') { /* the second half of CRLF, maybe of the piece before */
                        s->after_cr = false;
                        p++;
                        continue;
                }
                s->after_cr = false;
                const char *stop = p;
                while (stop < end && *stop != '\n' && *stop != '\r')
                        stop++;
                str_add_bytes(&s->line, p, (size_t)(stop - p));
                if (s->line.len > SSE_MAX || s->data.len > SSE_MAX)
                        return err_set(e, ERR_TOO_LARGE, "an event of the stream is too large");
                if (stop < end) {
                        s->after_cr = *stop == '\r';
                        int rc = take_line(s, sink, sink_data);
                        str_clear(&s->line);
                        if (rc != 0)
                                return rc;
                }
                if (s->line.failed || s->kind.failed || s->data.failed)
                        return err_set(e, ERR_NO_MEMORY, "no memory for an event");
                p = stop + (stop < end);
        }
        return 0;
}
