#include "client/talk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { REPLY_MAX = 256 << 20 };

int talk_stall_s(const struct talk *x)
{
        return x->q->stall_s ? x->q->stall_s : TALK_STALL_S;
}

void talk_begin_reply(struct talk *x)
{
        x->reply->type[0] = x->reply->location[0] = '\0';
        x->reply->retry_after_s = 0;
}

void talk_header(struct talk *x, const char *name, const char *value, size_t len)
{
        struct fetch_reply *r = x->reply;
        char text[32];
        while (len && (*value == ' ' || *value == '\t')) {
                value++;
                len--;
        }
        while (len && (value[len - 1] == '\r' || value[len - 1] == '\n' || value[len - 1] == ' '))
                len--;
        if (strcasecmp(name, "content-type") == 0) {
                snprintf(r->type, sizeof r->type, "%.*s", (int)len, value);
                r->type[strcspn(r->type, "; ")] = '\0';
        } else if (strcasecmp(name, "retry-after") == 0) {
                snprintf(text, sizeof text, "%.*s", (int)len, value);
                long seconds = strtol(text, NULL, 10);
                r->retry_after_s = seconds > 0 && seconds < 86400 ? (int)seconds : 0;
        } else if (strcasecmp(name, "location") == 0) {
                snprintf(r->location, sizeof r->location, "%.*s", (int)len, value);
        }
}

bool talk_body(struct talk *x, int status, const void *bytes, size_t len)
{
        if (x->q->sink && status / 100 == 2) {
                x->code = x->q->sink(x->q->sink_data, bytes, len);
        } else {
                str_add_bytes(&x->reply->body, bytes, len);
                if (x->reply->body.failed || x->reply->body.len > REPLY_MAX)
                        x->code = err_set(x->e, ERR_TOO_LARGE, "the server's answer is too large");
        }
        return x->code == 0;
}

int64_t talk_source(struct talk *x, void *bytes, size_t len)
{
        int64_t n = x->q->source(x->q->source_data, bytes, len);
        if (n < 0)
                x->code = (int)n;
        return n < 0 ? -1 : n;
}

bool talk_tick(struct talk *x)
{
        if (x->q->tick && x->code == 0)
                x->code = x->q->tick(x->q->tick_data);
        return x->code == 0;
}

int talk_broken(const struct talk *x, const char *url, bool reached, const char *why)
{
        if (!reached)
                return err_set(x->e, ERR_CLOSED, "no server answers at %s: %s", url, why);
        return err_set(x->e, ERR_CLOSED, "the connection to %s broke: %s", url, why);
}

void fetch_reply_finish(struct fetch_reply *r)
{
        str_free(&r->body);
        *r = (struct fetch_reply){0};
}

void fetch_escape(struct str *s, const char *text)
{
        for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
                bool plain = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
                             (*p >= '0' && *p <= '9') || strchr("-._~", *p) != NULL;
                if (plain)
                        str_add_bytes(s, p, 1);
                else
                        str_addf(s, "%%%02X", *p);
        }
}
