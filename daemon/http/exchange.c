#include "daemon/http/exchange.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "daemon/http/guard.h"
#include "daemon/http/problem.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
        BLOCK_BYTES = 256,      /* a stream's buffer towards HTTP/1.0 */
        SOURCE_BYTES = 1 << 16, /* of a reply_source at a time */
        DRAIN_BYTES = 16 << 20, /* of a refused body that are read so that the client sees the answer */
        TRANSFER_MS = 30000,    /* for any body, and as much again for each TRANSFER_BYTES of it */
        TRANSFER_BYTES = 1 << 20,
        SMALL_BYTES = 16 << 10, /* of answers that are not counted */
};

/* What libmicrohttpd holds of a stream; outlives the exchange by a little. */
struct exchange_stream {
        struct exchange *x; /* NULL when the exchange is over */
};

struct exchange *exchange_of(const struct http_request *rq)
{
        return (struct exchange *)(uintptr_t)rq;
}

static void extend(struct link *l, int64_t bytes)
{
        l->deadline_ms = l->since_ms + TRANSFER_MS + bytes / TRANSFER_BYTES * TRANSFER_MS;
}

/* --- routing --- */

static bool path_matches(const char *path, const struct target *t)
{
        int i = 0;
        for (const char *p = path; *p == '/' && p[1]; i++) {
                size_t n = strcspn(++p, "/");
                if (i == t->part_count)
                        return false;
                if (strncmp(p, "{}", n) != 0 && (strlen(t->part[i]) != n || strncmp(p, t->part[i], n) != 0))
                        return false;
                p += n;
        }
        return i == t->part_count;
}

/* 0 with x->route, or the problem; 405 with Allow. */
static int find_route(struct exchange *x, const char *method, int *status, struct err *e)
{
        char allow[64] = "";
        const char *wanted = x->rq.head ? "GET" : method;
        for (const struct http_route *r = x->host->o.routes; r->method && !x->route; r++)
                if (strcmp(r->method, wanted) == 0 && path_matches(r->path, &x->rq.target))
                        x->route = r;
        if (x->route)
                return 0;
        for (const struct http_route *r = x->host->o.routes; r->method; r++) {
                if (!path_matches(r->path, &x->rq.target))
                        continue;
                snprintf(allow + strlen(allow), sizeof allow - strlen(allow), "%s%s%s", *allow ? ", " : "",
                        r->method, strcmp(r->method, "GET") == 0 ? ", HEAD" : "");
        }
        if (!*allow)
                return err_set(e, ERR_NOT_FOUND,
                        "there is nothing at %.200s; addresses begin with /v1/, such as /v1/version, or "
                        "with /v2, and docs/api.md of cnnd lists them",
                        x->uri);
        *status = 405;
        reply_header(&x->rq.reply, "Allow", "%s", allow);
        return err_set(e, ERR_STATE, "%.20s is not for %.200s; allowed: %s", method, x->uri, allow);
}

static int begin_body(struct exchange *x, const struct guard_facts *f, struct err *e)
{
        const struct http_options *o = &x->host->o;
        const int64_t limits[] = {
                [HTTP_NO_BODY] = 0,
                [HTTP_JSON] = o->max_json_bytes,
                [HTTP_IMAGE] = o->max_image_bytes,
                [HTTP_FILE] = o->max_weights_bytes,
                [HTTP_ARCHIVE] = o->max_dataset_bytes,
        };
        enum http_body kind = x->route->body;
        enum body_place place = kind >= HTTP_FILE ? BODY_FILE : kind == HTTP_IMAGE ? BODY_IMAGE : BODY_JSON;
        snprintf(x->rq.media_type, sizeof x->rq.media_type, "%s", f->media_type);
        int rc = body_begin(&x->rq.body, &x->host->budget, &x->rq.who, place, limits[kind], f->length, e);
        if (rc == 0 && kind == HTTP_JSON && f->media_type[0] && !media_is_json(f->media_type))
                rc = err_set(e, ERR_MEDIA, "the body must be application/json, not %s", f->media_type);
        return rc;
}

/* --- answering --- */

void exchange_refuse(struct exchange *x, int status, const struct err *e)
{
        const bool asked = x->route && x->route->open && e->code == ERR_UNAVAILABLE;
        if (problem_status(e->code) >= 500)
                log_line(asked ? LOG_DEBUG : LOG_WARN, "%s: %s", x->uri, e->message);
        x->refused = true;
        reply_problem(&x->rq.reply, status, e);
}

static ssize_t stream_read(void *ctx, uint64_t pos, char *out, size_t max)
{
        struct exchange *x = ((struct exchange_stream *)ctx)->x;
        (void)pos;
        if (!x || x->host->stopping)
                return x && x->rq.reply.stream.whole ? MHD_CONTENT_READER_END_WITH_ERROR
                                                     : MHD_CONTENT_READER_END_OF_STREAM;
        ssize_t n = x->rq.reply.stream.read(x->rq.reply.stream.ctx, out, max);
        if (n < 0)
                return n == REPLY_END ? MHD_CONTENT_READER_END_OF_STREAM : MHD_CONTENT_READER_END_WITH_ERROR;
        if (n == 0) {
                x->resting = true;
                MHD_suspend_connection(x->con);
        }
        return n;
}

static struct MHD_Response *make_stream(struct exchange *x)
{
        struct exchange_stream *s = calloc(1, sizeof *s);
        if (!s)
                return NULL;
        s->x = x;
        struct MHD_Response *response =
                MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_BYTES, stream_read, s, free);
        if (!response) {
                free(s);
                return NULL;
        }
        x->stream = s;
        x->host->stats.streams++;
        return response;
}

/* An open file is part of it. */
static bool sends_file(const struct reply *r)
{
        return r->has_file || r->source.read;
}

static ssize_t source_read(void *ctx, uint64_t pos, char *out, size_t max)
{
        const struct reply_source *s = ctx;
        const ssize_t n = s->read(s->ctx, pos, out, max);
        return n < 0 ? MHD_CONTENT_READER_END_WITH_ERROR : n;
}

static void source_free(void *ctx)
{
        struct reply_source *s = ctx;
        s->close(s->ctx);
        free(s);
}

static struct MHD_Response *make_sourced(struct reply *r)
{
        struct reply_source *s = malloc(sizeof *s);
        if (!s)
                return NULL;
        *s = r->source;
        struct MHD_Response *response =
                MHD_create_response_from_callback(r->size, SOURCE_BYTES, source_read, s, source_free);
        if (response)
                r->source = (struct reply_source){0};
        else
                free(s);
        return response;
}

static struct MHD_Response *make_response(struct exchange *x)
{
        struct reply *r = &x->rq.reply;
        if (r->stream.read)
                return make_stream(x);
        if (r->has_file) {
                r->has_file = false;
                struct MHD_Response *response = MHD_create_response_from_fd64(r->size, r->fd);
                if (!response)
                        close(r->fd);
                return response;
        }
        if (r->source.read)
                return make_sourced(r);
        size_t len = r->text.len;
        char *text = len ? str_take(&r->text) : NULL;
        struct MHD_Response *response = MHD_create_response_from_buffer(
                len, text ? text : (void *)"", text ? MHD_RESPMEM_MUST_FREE : MHD_RESPMEM_PERSISTENT);
        if (!response)
                free(text);
        return response;
}

/* Counts the answer, and notes it: what changes something where people look, the rest for those who search.
   What an image is sent for changes nothing. */
static void record(struct exchange *x)
{
        const struct reply *r = &x->rq.reply;
        bool changes = x->route && strcmp(x->route->method, "GET") != 0 && x->route->body != HTTP_IMAGE;
        double seconds = (double)(clock_now_us() - x->begun_us) / 1e6;
        x->host->stats.answers[r->status / 100]++;
        if (x->route)
                histogram_add(&x->host->timing[x->route - x->host->o.routes], histogram_quick, seconds);
        log_line(changes ? LOG_INFO : LOG_DEBUG, "request method=%s path=%s status=%d user=%s seconds=%.6f",
                x->route ? x->route->method : "-", x->uri, r->status,
                x->rq.who.user[0] ? x->rq.who.user : "-", seconds);
}

/* Of one that is refused its headers are not the problem's. */
static void refuse_reply(struct exchange *x, const struct err *e)
{
        const bool oip = x->rq.reply.oip;
        reply_finish(&x->rq.reply);
        x->rq.reply.oip = oip;
        exchange_refuse(x, 0, e);
}

/* What has changed something says so, whatever it takes. */
static bool only_tells(const struct exchange *x)
{
        return x->route && x->rq.reply.status == 200 &&
               (strcmp(x->route->method, "GET") == 0 ||
                       (strcmp(x->route->method, "POST") == 0 && x->route->body != HTTP_NO_BODY));
}

/* Who asks for much and takes none of it would fill the memory. */
static void count_answer(struct exchange *x)
{
        struct err e = {0};
        const int64_t bytes = (int64_t)x->rq.reply.text.len;
        if (bytes <= SMALL_BYTES)
                return;
        if (body_begin_answer(&x->host->budget.answers, &x->rq.who, bytes, &x->answer_holder, &e) == 0)
                x->answer_bytes = bytes;
        else if (only_tells(x))
                refuse_reply(x, &e);
}

static enum MHD_Result queue(struct exchange *x, bool close_after)
{
        struct reply *r = &x->rq.reply;
        count_answer(x);
        int64_t size = sends_file(r) ? (int64_t)r->size : (int64_t)r->text.len;
        struct MHD_Response *response = make_response(x);
        if (!response)
                return MHD_NO;
        if (r->type)
                MHD_add_response_header(response, "Content-Type", r->type);
        MHD_add_response_header(response, "Cache-Control", "no-store");
        MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
        for (int i = 0; i < r->header_count; i++)
                MHD_add_response_header(response, r->header[i].name, r->header[i].value);
        if (close_after)
                MHD_add_response_header(response, "Connection", "close");
        x->phase = EXCHANGE_SENT;
        x->link->reading = false;
        x->link->since_ms = clock_now_ms();
        extend(x->link, size);
        if (x->stream)
                link_streams(x->link);
        record(x);
        enum MHD_Result ok = MHD_queue_response(x->con, (unsigned)r->status, response);
        MHD_destroy_response(response);
        return ok;
}

/* --- one request, step by step --- */

static enum MHD_Result begin(struct exchange *x, const char *method, const char *version)
{
        struct guard_facts f = {0};
        struct err e = {0};
        int status = 0;
        bool known = strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
        int rc = guard_check(
                x->con, method, version, x->host->o.loopback && !x->link->local, !known, &f, &status, &e);
        if (rc == 0 && version != x->uri_end + 1) { /* a zero ended the string before its line did */
                status = 400;
                rc = err_set(&e, ERR_SYNTAX, "the address holds a zero byte");
        }
        if (rc == 0)
                rc = target_parse(x->uri, &x->rq.target, &e);
        const bool broken = rc != 0;
        x->rq.head = strcmp(method, "HEAD") == 0;
        x->phase = EXCHANGE_BODY;
        x->begun_us = clock_now_us();
        x->link->reading = true;
        x->link->since_ms = clock_now_ms();
        extend(x->link, 0);
        if (rc == 0)
                rc = find_route(x, method, &status, &e);
        if (rc == 0) {
                x->rq.kind = x->route->body;
                x->rq.length = f.length;
        }
        if (rc == 0 && !x->route->open)
                rc = x->host->o.admit(x->host->o.ctx, &x->rq, &e);
        bool crowded = false;
        if (rc == 0 && !x->route->open) {
                rc = link_work(x->link, &x->rq.who, &e);
                crowded = rc != 0;
        }
        if (rc == 0)
                rc = begin_body(x, &f, &e);
        if (rc == 0)
                return MHD_YES;
        exchange_refuse(x, status, &e);
        if (broken || crowded || f.expects_continue || f.length > DRAIN_BYTES)
                return queue(x, true);
        return MHD_YES;
}

static enum MHD_Result take(struct exchange *x, const char *bytes, size_t len)
{
        struct err e = {0};
        x->drained += (int64_t)len;
        extend(x->link, x->drained);
        if (!x->refused) {
                int rc = body_take(&x->rq.body, bytes, len, &e);
                if (rc) {
                        exchange_refuse(x, 0, &e);
                        body_finish(&x->rq.body);
                        x->drained = 0;
                }
        } else if (x->drained > DRAIN_BYTES) {
                return MHD_NO;
        }
        return MHD_YES;
}

/* While it does either nobody else is served. On a crowded machine a thread also waits for its processor,
   which is nobody's fault. */
static int64_t spent_us(const struct http_options *o)
{
        return clock_thread_us() + (o->waited_us ? o->waited_us(o->ctx) : 0);
}

static int handle(struct exchange *x, struct err *e)
{
        const struct http_options *o = &x->host->o;
        const int64_t begun_us = spent_us(o);
        int rc = x->route->handle(o->ctx, &x->rq, e);
        if (o->worked && !x->route->open)
                o->worked(o->ctx, &x->rq.who, (double)(spent_us(o) - begun_us) / 1e6);
        return rc;
}

static enum MHD_Result finish(struct exchange *x)
{
        struct err e = {0};
        if (!x->refused) {
                int rc = body_end(&x->rq.body, &e);
                if (rc == 0 && x->host->stopping)
                        rc = err_set(&e, ERR_UNAVAILABLE, "the daemon stops");
                json_begin();
                if (rc == 0)
                        rc = handle(x, &e);
                if (rc == HTTP_LATER) {
                        x->phase = EXCHANGE_WAITING;
                        x->link->deadline_ms = 0;
                        x->host->stats.waiting++;
                        MHD_suspend_connection(x->con);
                        return MHD_YES;
                }
                if (rc == 0 && sends_file(&x->rq.reply)) {
                        rc = body_open_file(&x->host->budget.files, &x->rq.who, &x->file_holder, &e);
                        x->sends_file = rc == 0;
                        if (rc)
                                refuse_reply(x, &e);
                } else if (rc) {
                        exchange_refuse(x, 0, &e);
                }
        }
        return queue(x, false);
}

enum MHD_Result exchange_step(
        struct exchange *x, const char *method, const char *version, const char *bytes, size_t *len)
{
        if (x->link->closed)
                return MHD_NO;
        switch (x->phase) {
        case EXCHANGE_HEADER:
                return begin(x, method, version);
        case EXCHANGE_BODY:
                if (*len == 0)
                        return finish(x);
                size_t n = *len;
                *len = 0;
                return take(x, bytes, n);
        case EXCHANGE_ANSWER:
                return queue(x, false);
        case EXCHANGE_WAITING:
        case EXCHANGE_SENT:
                break;
        }
        return MHD_NO;
}

struct exchange *exchange_create(
        struct exchange_host *host, struct link *l, struct MHD_Connection *con, const char *uri)
{
        struct exchange *x = calloc(1, sizeof *x);
        if (!x)
                return NULL;
        x->uri = strdup(uri);
        if (!x->uri) {
                free(x);
                return NULL;
        }
        x->uri_end = uri + strlen(uri);
        x->rq.reply.oip = strncmp(uri, "/v2", 3) == 0 && strchr("/?", uri[3]);
        x->host = host;
        x->con = con;
        x->link = l;
        x->rq.body.fd = -1;
        x->next = host->exchanges;
        x->prev = &host->exchanges;
        if (x->next)
                x->next->prev = &x->next;
        host->exchanges = x;
        return x;
}

void exchange_destroy(struct exchange *x)
{
        if (x->stream) {
                x->stream->x = NULL;
                x->host->stats.streams--;
        }
        *x->prev = x->next;
        if (x->next)
                x->next->prev = x->prev;
        if (x->sends_file)
                body_close_file(&x->host->budget.files, x->file_holder);
        if (x->answer_bytes)
                body_end_answer(&x->host->budget.answers, x->answer_holder, x->answer_bytes);
        reply_finish(&x->rq.reply);
        body_finish(&x->rq.body);
        target_finish(&x->rq.target);
        free(x->rq.note);
        free(x->uri);
        free(x);
}
