#include "daemon/http/http.h"

#include "base/clock.h"
#include "base/log.h"
#include "daemon/http/exchange.h"

#include <errno.h>
#include <microhttpd.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
        POOL_BYTES = 8 << 10, /* of a connection: header, and one chunk of body */
        ROUNDS = 16,          /* of the library in a turn, while it has something at hand */
        MAX_PARAMETERS = 64,  /* above TARGET_MAX_QUERY, which answers where the library does not fail */
        MOST_VAIN = 8,
        JSON_PART = 8, /* so large a part of the memory for bodies there is for JSON besides */
        TICK_MS = 250,
        FAREWELL_MS = 1000,
};

struct http {
        struct exchange_host host;
        struct MHD_Daemon *daemons[HTTP_MAX_FDS];
        bool local[HTTP_MAX_FDS]; /* of each daemon: it listens on the Unix socket */
        int daemon_count;
        struct links links;
        int64_t tick_ms;
        int64_t rest_ms[HTTP_MAX_FDS]; /* of each daemon: it is not run before */
        int vain[HTTP_MAX_FDS]; /* turns of each in a row after which clients waited and none was there */
};

static enum MHD_Result on_request(void *ctx, struct MHD_Connection *con, const char *url, const char *method,
        const char *version, const char *bytes, size_t *len, void **con_ctx)
{
        (void)ctx;
        (void)con;
        (void)url;
        return *con_ctx ? exchange_step(*con_ctx, method, version, bytes, len) : MHD_NO;
}

/* The library keeps each parameter in the connection's memory, and hangs up without a word when that is full.
 */
static bool too_many_parameters(const char *uri)
{
        int count = 0;
        for (const char *p = uri; *p; p++)
                count += *p == '&';
        return count > MAX_PARAMETERS;
}

/* The request line has come. Every request's context is made here: only here is the address still raw. */
static void *on_uri(void *ctx, const char *uri, struct MHD_Connection *con)
{
        struct http *h = ctx;
        const union MHD_ConnectionInfo *info =
                MHD_get_connection_info(con, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
        struct link *l = info ? info->socket_context : NULL;
        if (!l || l->closed)
                return NULL;
        if (too_many_parameters(uri)) {
                struct err e = {0};
                err_set(&e, ERR_SYNTAX, "more than %d query parameters", TARGET_MAX_QUERY);
                l->reading = true;
                link_end(l, 400, &e);
                return NULL;
        }
        l->reading = true;
        return exchange_create(&h->host, l, con, uri);
}

static void on_completed(
        void *ctx, struct MHD_Connection *con, void **con_ctx, enum MHD_RequestTerminationCode code)
{
        struct exchange *x = *con_ctx;
        (void)ctx;
        (void)con;
        (void)code;
        if (!x)
                return;
        *con_ctx = NULL;
        link_rest(x->link);
        exchange_destroy(x);
}

static int start_tls(struct tls *t, struct MHD_Connection *con)
{
        struct err e = {0};
        const union MHD_ConnectionInfo *info =
                MHD_get_connection_info(con, MHD_CONNECTION_INFO_GNUTLS_SESSION);
        int rc = info ? tls_use(t, info->tls_session, &e) : err_set(&e, ERR_INTERNAL, "TLS: no session");
        if (rc)
                log_line(LOG_ERROR, "http: %s", e.message);
        return rc;
}

static void on_connection(
        void *ctx, struct MHD_Connection *con, void **socket_ctx, enum MHD_ConnectionNotificationCode code)
{
        struct http *h = ctx;
        if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
                links_remove(*socket_ctx);
                *socket_ctx = NULL;
                return;
        }
        const union MHD_ConnectionInfo *fd = MHD_get_connection_info(con, MHD_CONNECTION_INFO_CONNECTION_FD);
        struct link *l = fd ? links_add(&h->links, fd->connect_fd) : NULL;
        if (l && l->tls && start_tls(l->tls, con) != 0) {
                links_remove(l);
                l = NULL;
        }
        *socket_ctx = l; /* without its link no request of it is served: on_uri */
}

static void on_log(void *ctx, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
static void on_log(void *ctx, const char *fmt, va_list ap)
{
        char line[400];
        (void)ctx;
        vsnprintf(line, sizeof line, fmt, ap);
        log_line(LOG_DEBUG, "http: %s", line);
}

/* --- the server --- */

/* TLS 1.2 and 1.3 with what GnuTLS holds for good. */
static const char tls_priorities[] = "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2";

/* Takes fd. */
static int start_daemon(struct http *h, int fd, bool tls, struct err *e)
{
        struct MHD_OptionItem secret[] = {
                {MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)(uintptr_t)h->host.o.tls_cert},
                {MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)(uintptr_t)h->host.o.tls_key},
                {MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t)tls_priorities},
                {MHD_OPTION_END, 0, NULL},
        };
        if (!tls)
                secret[0] = (struct MHD_OptionItem){MHD_OPTION_END, 0, NULL};
        unsigned flags = MHD_USE_EPOLL | MHD_USE_ITC | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG |
                         (tls ? MHD_USE_TLS : 0);
        /* 0.9 is not to be strict: what that checks guard.c checks too, and a missing Host is answered
         * twice. 1.0 unfolds headers before guard.c sees them, and redirects where the address has blanks. */
        const int strict = atoi(MHD_get_version()) >= 1;
        struct MHD_Daemon *d = MHD_start_daemon(flags, 0, NULL, NULL, on_request, h,
                MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL, MHD_OPTION_ARRAY, secret, MHD_OPTION_LISTEN_SOCKET,
                fd, MHD_OPTION_URI_LOG_CALLBACK, on_uri, h, MHD_OPTION_NOTIFY_COMPLETED, on_completed, h,
                MHD_OPTION_NOTIFY_CONNECTION, on_connection, h, MHD_OPTION_CONNECTION_LIMIT,
                (unsigned)h->host.o.max_connections, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)POOL_BYTES,
                MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)(h->host.o.idle_seconds + 0.999),
                MHD_OPTION_STRICT_FOR_CLIENT, strict, MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_END);
        if (!d) {
                close(fd);
                return err_set(e, ERR_IO, "the HTTP server does not start");
        }
        h->local[h->daemon_count] = fd == h->host.o.unix_fd;
        h->daemons[h->daemon_count++] = d;
        return 0;
}

static int64_t json_bytes(const struct http_options *o)
{
        int64_t part = o->body_memory_bytes / JSON_PART;
        return part > o->max_json_bytes ? part : o->max_json_bytes;
}

/* One user may hold half of it, so that others find room, but one whole body at least. */
static struct body_pool body_pool(int64_t limit, int64_t largest)
{
        return (struct body_pool){
                .limit_bytes = limit, .share_bytes = limit / 2 > largest ? limit / 2 : largest};
}

/* The same of files, and of what is on its way into them: what a user may store. */
static struct body_files body_files(const struct http_options *o)
{
        int64_t bytes = o->stored_bytes;
        if (bytes && bytes < o->max_dataset_bytes)
                bytes = o->max_dataset_bytes;
        if (bytes && bytes < o->max_weights_bytes)
                bytes = o->max_weights_bytes;
        return (struct body_files){.limit = o->max_files,
                .share = o->max_files > 1 ? o->max_files / 2 : 1,
                .share_bytes = bytes};
}

int http_create(const struct http_options *o, struct http **ret, struct err *e)
{
        struct http *h = calloc(1, sizeof *h);
        int rc = h ? 0 : err_set(e, ERR_NO_MEMORY, "no memory for the HTTP server");
        int fds[HTTP_MAX_FDS] = {o->tcp_fd, o->unix_fd}, routes = 0;
        while (o->routes[routes].method)
                routes++;
        if (h) {
                h->host.timing = calloc((size_t)routes + 1, sizeof *h->host.timing);
                if (!h->host.timing)
                        rc = err_set(e, ERR_NO_MEMORY, "no memory for the HTTP server");
                h->host.o = *o;
                links_init(&h->links, &h->host.o);
                h->host.budget = (struct body_budget){.tmp_dir = o->tmp_dir,
                        .pools = {[BODY_JSON] = body_pool(json_bytes(o), o->max_json_bytes),
                                [BODY_IMAGE] = body_pool(o->body_memory_bytes, o->max_image_bytes)},
                        .answers = body_pool(o->body_memory_bytes, 0),
                        .files = body_files(o)};
        }
        if (rc == 0 && o->tls_cert)
                rc = http_set_certificate(h, o->tls_cert, o->tls_key, e);
        for (int i = 0; i < HTTP_MAX_FDS; i++) {
                if (fds[i] >= 0 && rc == 0)
                        rc = start_daemon(h, fds[i], i == 0 && o->tls_cert, e);
                else if (fds[i] >= 0)
                        close(fds[i]);
        }
        if (rc) {
                http_destroy(h);
                return rc;
        }
        h->host.o.tls_cert = h->host.o.tls_key = NULL; /* the library has its own copy */
        *ret = h;
        return 0;
}

int http_set_certificate(struct http *h, const char *cert, const char *key, struct err *e)
{
        struct tls *t;
        int rc = tls_create(cert, key, &t, e);
        if (rc)
                return rc;
        tls_drop(h->links.tls);
        h->links.tls = t;
        return 0;
}

static void end_exchanges(struct http *h)
{
        struct err e = {0};
        err_set(&e, ERR_UNAVAILABLE, "the daemon stops");
        for (struct exchange *x = h->host.exchanges, *next; x; x = next) {
                next = x->next;
                if (x->phase == EXCHANGE_WAITING)
                        http_answer(&x->rq, e.code, &e);
                else
                        http_wake(&x->rq);
        }
}

void http_destroy(struct http *h)
{
        if (!h)
                return;
        h->host.stopping = true;
        for (int i = 0; i < h->daemon_count; i++) {
                MHD_socket fd = MHD_quiesce_daemon(h->daemons[i]);
                if (fd != MHD_INVALID_SOCKET)
                        close(fd);
        }
        end_exchanges(h);
        for (int64_t until = clock_now_ms() + FAREWELL_MS; clock_now_ms() < until;) {
                http_run(h, ~0u);
                if (!h->host.exchanges)
                        break;
                poll(NULL, 0, 10);
        }
        for (int i = 0; i < h->daemon_count; i++)
                MHD_stop_daemon(h->daemons[i]);
        tls_drop(h->links.tls);
        free(h->host.timing);
        free(h);
}

/* --- a listener without descriptors: libmicrohttpd tries again without a pause, or where it has connections
   not before one of them ends --- */

static bool rests(const struct http *h, int i)
{
        return h->rest_ms[i] > clock_now_ms();
}

static unsigned connections(struct MHD_Daemon *d)
{
        return MHD_get_daemon_info(d, MHD_DAEMON_INFO_CURRENT_CONNECTIONS)->num_connections;
}

static bool clients_wait(struct MHD_Daemon *d)
{
        struct pollfd p = {
                .fd = MHD_get_daemon_info(d, MHD_DAEMON_INFO_LISTEN_FD)->listen_fd, .events = POLLIN};
        return poll(&p, 1, 0) > 0;
}

static bool is_due(struct http *h, int i)
{
        unsigned long long ms;
        return h->host.due[h->local[i]] || (MHD_get_timeout(h->daemons[i], &ms) == MHD_YES && ms == 0);
}

static void run_daemon(struct http *h, int i, int64_t now_ms)
{
        struct MHD_Daemon *d = h->daemons[i];
        if (rests(h, i))
                return;
        int rounds = ROUNDS;
        do {
                h->host.due[h->local[i]] = false;
                MHD_run(d);
        } while (--rounds && is_due(h, i));
        /* Once or twice they have only just come. */
        h->vain[i] = !h->host.stopping && connections(d) == 0 && clients_wait(d) ? h->vain[i] + 1 : 0;
        if (h->vain[i])
                h->host.due[h->local[i]] = true;
        if (h->vain[i] < MOST_VAIN)
                return;
        h->vain[i] = 0;
        h->rest_ms[i] = now_ms + TICK_MS;
}

/* A connection that ends at once. */
static void wake_listener(struct http *h, int i)
{
        struct MHD_Daemon *d = h->daemons[i];
        const struct sockaddr sa = {.sa_family = AF_UNIX};
        const unsigned count = connections(d);
        int pair[2];
        if (count == 0 || count >= (unsigned)h->host.o.max_connections || !clients_wait(d))
                return;
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0)
                return; /* still none: at the next tick */
        close(pair[1]);
        h->host.due[h->local[i]] = true;
        if (MHD_add_connection(d, pair[0], &sa, sizeof sa) != MHD_YES)
                log_line(LOG_DEBUG, "http: clients wait, and the listener takes no connection");
}

int http_fds(const struct http *h, int fds[HTTP_MAX_FDS])
{
        for (int i = 0; i < h->daemon_count; i++)
                fds[i] = rests(h, i) ? -1
                                     : MHD_get_daemon_info(h->daemons[i], MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
        return h->daemon_count;
}

int http_timeout_ms(const struct http *h)
{
        unsigned long long least = h->links.open[0] + h->links.open[1] ? TICK_MS : 60000, ms;
        for (int i = 0; i < h->daemon_count; i++) {
                if (rests(h, i))
                        ms = TICK_MS;
                else if (h->host.due[h->local[i]])
                        ms = 0;
                else if (MHD_get_timeout(h->daemons[i], &ms) != MHD_YES)
                        continue;
                if (ms < least)
                        least = ms;
        }
        return (int)least;
}

void http_run(struct http *h, unsigned readable)
{
        int64_t now = clock_now_ms();
        for (int i = 0; i < h->daemon_count; i++)
                if (readable & 1u << i || is_due(h, i))
                        run_daemon(h, i, now);
        if (now < h->tick_ms)
                return;
        h->tick_ms = now + TICK_MS;
        for (int i = 0; i < h->daemon_count && !h->host.stopping; i++)
                wake_listener(h, i);
        links_expire(&h->links, now);
}

struct http_stats http_stats(const struct http *h)
{
        struct http_stats stats = h->host.stats;
        stats.connections = h->links.open[0] + h->links.open[1];
        for (int i = 0; i < BODY_FILE; i++)
                stats.body_bytes += h->host.budget.pools[i].used_bytes;
        stats.answer_bytes = h->host.budget.answers.used_bytes;
        return stats;
}

const struct histogram *http_timing(const struct http *h, int index)
{
        return &h->host.timing[index];
}

/* --- what handlers call --- */

const char *http_header(const struct http_request *rq, const char *name)
{
        return MHD_lookup_connection_value(exchange_of(rq)->con, MHD_HEADER_KIND, name);
}

bool http_local(const struct http_request *rq, uid_t *ret_uid)
{
        const struct link *l = exchange_of(rq)->link;
        *ret_uid = l->uid;
        return l->local;
}

static void resume(struct exchange *x)
{
        x->host->due[x->link->local] = true;
        MHD_resume_connection(x->con);
}

void http_answer(struct http_request *rq, int rc, const struct err *e)
{
        struct exchange *x = exchange_of(rq);
        if (rc)
                exchange_refuse(x, 0, e);
        x->phase = EXCHANGE_ANSWER;
        x->host->stats.waiting--;
        resume(x);
}

void http_wake(struct http_request *rq)
{
        struct exchange *x = exchange_of(rq);
        if (!x->resting)
                return;
        x->resting = false;
        resume(x);
}

int http_know_again(struct http_request *rq, struct err *e)
{
        const struct exchange *x = exchange_of(rq);
        return x->route->open ? 0 : x->host->o.know(x->host->o.ctx, rq, e);
}

/* A Unix socket tells who is gone from who has only shut down the sending side, and waits. On TCP the latter
   is taken for gone as well: it is the same FIN as that of who hung up, whatever poll or tcp_info is asked,
   and only something sent would tell, which before the answer there is not. Other servers take it so, too
   (nginx's 499, the request context of Go's net/http). To work on for nobody is the greater harm: a device
   and a decoder are few. */
bool http_gone(const struct http_request *rq)
{
        const struct link *l = exchange_of(rq)->link;
        struct pollfd p = {.fd = l->fd};
        char byte;
        if (l->local)
                return poll(&p, 1, 0) > 0;
        ssize_t n = recv(l->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
        return n == 0 || (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
}
