#include "daemon/server.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/str.h"
#include "daemon/people/access.h"
#include "daemon/api/api.h"
#include "daemon/http/listen.h"
#include "daemon/notify.h"
#include "daemon/precheck.h"
#include "daemon/http/tls.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum { DRAIN_MS = 10000, RESERVED_DESCRIPTORS = 64, MAX_FILES = 512 };

struct server {
        const struct conf *conf; /* borrowed */
        struct service *service;
        struct feed *feed;
        struct importfeed *importfeed;
        struct curves *curves;
        struct http *http;
        struct access *access;
        struct api api;
        char *tmp_dir;
        struct str address;
        struct notify notify;
        int signal_fd;
        bool owns_socket; /* the socket's file is to be removed */
        bool draining;
        int64_t end_ms; /* of the drain */
};

/* Thousands of streams need as many descriptors. */
static void raise_file_limit(void)
{
        struct rlimit limit;
        if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
                return;
        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
                log_line(LOG_WARN, "the limit of open files stays: %s", strerror(errno));
}

/* Files for bodies and answers, and connections of each listener: so many that they cannot take the
   descriptors that the rest of the daemon needs. Who comes too many waits in the listener's queue. */
static void share_descriptors(struct http_options *o, int64_t wanted, int listeners)
{
        struct rlimit limit;
        o->max_files = MAX_FILES;
        o->max_connections = wanted;
        if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
                return;
        if (o->max_files > (int64_t)limit.rlim_cur / 4)
                o->max_files = (int64_t)limit.rlim_cur / 4;
        int64_t room = ((int64_t)limit.rlim_cur - RESERVED_DESCRIPTORS - o->max_files) / listeners;
        if (room >= wanted)
                return;
        o->max_connections = room < 1 ? 1 : room;
        log_line(LOG_WARN, "%lld connections a listener, not %lld: no more than %lld files may be open",
                (long long)o->max_connections, (long long)wanted, (long long)limit.rlim_cur);
}

static int catch_signals(struct server *s, struct err *e)
{
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, SIGTERM);
        sigaddset(&set, SIGINT);
        sigaddset(&set, SIGHUP);
        signal(SIGPIPE, SIG_IGN);
        signal(SIGXFSZ, SIG_IGN); /* the write fails; of children, too */
        sigprocmask(SIG_BLOCK, &set, NULL);
        s->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
        return s->signal_fd < 0 ? err_errno(e, errno, "signalfd") : 0;
}

/* A whole file as text; "" is no path and gives NULL. */
static int read_text(const char *path, char **ret, struct err *e)
{
        size_t len;
        *ret = NULL;
        return path[0] ? file_read(path, ret, &len, e) : 0;
}

/* The caller frees both, also on failure. */
static int read_certificate(const struct conf *c, char **cert, char **key, struct err *e)
{
        int rc = read_text(c->tls_cert, cert, e);
        if (rc == 0)
                rc = read_text(c->tls_key, key, e);
        return rc;
}

static int open_tcp(struct server *s, int *fd, bool *loopback, struct err *e)
{
        const char *text = s->conf->listen;
        struct listen_address address;
        if (strcmp(text, "none") == 0) {
                str_addf(&s->address, "unix:%s", s->conf->socket);
                return 0;
        }
        int rc = listen_parse(text, &address, e);
        if (rc == 0)
                rc = listen_tcp(&address, fd, e);
        if (rc)
                return err_wrap(e, "%s", text);
        *loopback = address.loopback;
        str_addf(&s->address, "http%s://%.*s:%d", s->conf->tls_cert[0] ? "s" : "",
                (int)(strrchr(text, ':') - text), text, listen_port(*fd));
        return 0;
}

static int open_listeners(struct server *s, struct http_options *o, struct err *e)
{
        int rc = open_tcp(s, &o->tcp_fd, &o->loopback, e);
        if (rc == 0 && s->conf->socket[0]) {
                rc = listen_unix(s->conf->socket, &o->unix_fd, e);
                s->owns_socket = rc == 0;
        }
        return rc;
}

static int open_service(struct server *s, struct err *e)
{
        const struct conf *c = s->conf;
        struct service_options o = {
                .state_dir = c->state,
                .device_spec = c->device,
                .log_level = c->log_level,
                .watchdog_seconds = c->watchdog_seconds,
                .checkpoint_seconds = c->checkpoint_seconds,
                .slice_seconds = c->slice_seconds,
                .half_life_seconds = c->half_life_seconds,
                .batch = {c->batch_window_us, (int)c->batch_images},
                .limits = {c->requests_per_second, c->user_connections, c->queued_jobs, c->stored_bytes},
        };
        struct str tmp = {0};
        int rc = service_create(&o, &s->service, e);
        if (rc)
                return rc;
        str_addf(&tmp, "%s/tmp", c->state);
        s->tmp_dir = str_take(&tmp);
        s->feed = feed_create(s->service->jobs, c->heartbeat_seconds);
        s->importfeed = importfeed_create(s->service->imports, c->heartbeat_seconds);
        s->curves = curves_create(s->service->jobs);
        s->api = (struct api){.service = s->service,
                .feed = s->feed,
                .importfeed = s->importfeed,
                .curves = s->curves,
                .started_ms = clock_now_ms()};
        return s->tmp_dir && s->feed && s->importfeed && s->curves
                       ? 0
                       : err_set(e, ERR_NO_MEMORY, "no memory for the server");
}

static int open_access(struct server *s, const struct http_options *h, struct err *e)
{
        const struct access_options o = {
                .store = s->service->store,
                .operators = s->conf->operators,
                .loopback = h->tcp_fd < 0 || h->loopback,
                .tls = s->conf->tls_cert[0],
                .insecure = s->conf->insecure,
        };
        const char *rest = o.operators;
        char word[256];
        while (identity_next_unknown(&rest, word))
                log_line(LOG_WARN, "operators: this machine has no %s \"%s\"",
                        word[0] == '@' ? "group" : "user", word + (word[0] == '@'));
        int rc = access_create(&o, &s->access, e);
        s->api.access = s->access;
        return rc ? err_wrap(e, "%s", server_address(s)) : 0;
}

/* Takes the listening sockets of `o`, also on failure. */
static int open_http(struct server *s, struct http_options *o, struct err *e)
{
        const struct conf *c = s->conf;
        char *cert = NULL, *key = NULL;
        int rc = read_certificate(c, &cert, &key, e);
        o->tls_cert = cert;
        o->tls_key = key;
        o->admit = api_admit;
        o->know = api_know;
        o->peer = api_peer;
        o->enter = api_enter;
        o->leave = api_leave;
        o->worked = api_worked;
        o->waited_us = api_waited_us;
        o->routes = api_routes;
        o->ctx = &s->api;
        o->tmp_dir = s->tmp_dir;
        o->header_seconds = c->header_seconds;
        o->idle_seconds = c->idle_seconds;
        o->max_json_bytes = c->max_json_bytes;
        o->max_image_bytes = c->max_image_bytes;
        o->max_weights_bytes = c->max_weights_bytes;
        o->stored_bytes = c->stored_bytes;
        o->max_dataset_bytes = c->max_dataset_bytes;
        o->body_memory_bytes = c->body_memory_bytes;
        share_descriptors(o, c->max_connections, 1 + (o->tcp_fd >= 0 && o->unix_fd >= 0));
        if (rc == 0) {
                rc = http_create(o, &s->http, e);
                o->tcp_fd = o->unix_fd = -1;
        }
        free(cert);
        free(key);
        s->api.http = s->http;
        return rc;
}

int server_check(const struct conf *c, struct err *e)
{
        char *cert = NULL, *key = NULL;
        struct tls *tls = NULL;
        int rc = read_certificate(c, &cert, &key, e);
        if (rc == 0 && cert)
                rc = tls_create(cert, key, &tls, e);
        tls_drop(tls);
        free(cert);
        free(key);
        if (rc == 0)
                rc = precheck_people(c, e);
        return rc ? rc : precheck_places(c, e);
}

int server_create(const struct conf *conf, struct server **ret, struct err *e)
{
        struct http_options o = {.tcp_fd = -1, .unix_fd = -1};
        struct server *s = calloc(1, sizeof *s);
        if (!s)
                return err_set(e, ERR_NO_MEMORY, "no memory for the server");
        s->conf = conf;
        s->signal_fd = -1;
        notify_init(&s->notify);
        raise_file_limit();
        int rc = catch_signals(s, e);
        if (rc == 0)
                rc = open_listeners(s, &o, e);
        if (rc == 0)
                rc = open_service(s, e);
        if (rc == 0)
                rc = open_access(s, &o, e);
        if (rc == 0)
                rc = open_http(s, &o, e);
        if (rc) {
                if (o.tcp_fd >= 0)
                        close(o.tcp_fd);
                if (o.unix_fd >= 0)
                        close(o.unix_fd);
                server_destroy(s);
                return rc;
        }
        *ret = s;
        return 0;
}

void server_destroy(struct server *s)
{
        if (!s)
                return;
        http_destroy(s->http);
        curves_destroy(s->curves);
        feed_destroy(s->feed);
        importfeed_destroy(s->importfeed);
        access_destroy(s->access);
        service_destroy(s->service);
        if (s->owns_socket)
                unlink(s->conf->socket);
        if (s->signal_fd >= 0)
                close(s->signal_fd);
        notify_finish(&s->notify);
        str_free(&s->address);
        free(s->tmp_dir);
        free(s);
}

const char *server_address(const struct server *s)
{
        return s->address.data;
}

/* Reads the certificate's files again. */
static void reload(struct server *s)
{
        char *cert = NULL, *key = NULL;
        struct err e = {0};
        if (!s->conf->tls_cert[0]) {
                log_line(LOG_INFO, "SIGHUP: there is no certificate to read again");
                return;
        }
        int rc = read_certificate(s->conf, &cert, &key, &e);
        if (rc == 0)
                rc = http_set_certificate(s->http, cert, key, &e);
        free(cert);
        free(key);
        if (rc)
                log_line(LOG_ERROR, "SIGHUP: the certificate stays as it was: %s", e.message);
        else
                log_line(LOG_INFO, "SIGHUP: new connections get the certificate in %s", s->conf->tls_cert);
}

/* True when a second signal asks to end at once. */
static bool take_signals(struct server *s)
{
        struct signalfd_siginfo info;
        bool again = false;
        while (read(s->signal_fd, &info, sizeof info) == (ssize_t)sizeof info) {
                if (info.ssi_signo == SIGHUP) {
                        reload(s);
                        supervisor_again(s->service->supervisor);
                        continue;
                }
                again = again || s->draining;
                if (again)
                        continue;
                log_line(LOG_INFO, "signal %u: draining", info.ssi_signo);
                s->draining = true;
                notify_tell(&s->notify, "STOPPING=1");
                s->end_ms = clock_now_ms() + DRAIN_MS;
                service_drain(s->service);
        }
        return again;
}

/* Of two times, of which one below 0 is never. */
static int64_t lesser(int64_t a, int64_t b)
{
        return a < 0 || (b >= 0 && b < a) ? b : a;
}

/* *ret_readable is what http_run takes. */
static int wait_for_work(struct server *s, bool *ret_signals, unsigned *ret_readable, struct err *e)
{
        struct pollfd polled[HTTP_MAX_FDS + 2] = {
                {.fd = s->signal_fd, .events = POLLIN}, {.fd = service_fd(s->service), .events = POLLIN}};
        int fds[HTTP_MAX_FDS], count = http_fds(s->http, fds);
        for (int i = 0; i < count; i++)
                polled[i + 2] = (struct pollfd){.fd = fds[i], .events = POLLIN};
        int64_t timeout = http_timeout_ms(s->http);
        timeout = lesser(timeout, feed_timeout_ms(s->feed, clock_now_ms()));
        timeout = lesser(timeout, curves_timeout_ms(s->curves));
        timeout = lesser(timeout, notify_timeout_ms(&s->notify, clock_now_ms()));
        if (s->draining)
                timeout = lesser(timeout, 100);
        timeout = lesser(timeout < 0 ? -1 : timeout * 1000, service_timeout_us(s->service));
        const struct timespec t = {timeout / 1000000, timeout % 1000000 * 1000};
        if (ppoll(polled, (nfds_t)count + 2, timeout < 0 ? NULL : &t, NULL) < 0 && errno != EINTR)
                return err_errno(e, errno, "ppoll");
        *ret_signals = polled[0].revents;
        *ret_readable = 0;
        for (int i = 0; i < count; i++)
                *ret_readable |= polled[i + 2].revents ? 1u << i : 0;
        return 0;
}

int server_run(struct server *s, struct err *e)
{
        notify_tell(&s->notify, "READY=1");
        for (;;) {
                bool signals = false;
                unsigned readable = 0;
                int rc = wait_for_work(s, &signals, &readable, e);
                notify_tick(&s->notify, clock_now_ms());
                if (rc)
                        return rc;
                if (signals && take_signals(s))
                        return 0;
                service_run(s->service);
                feed_tick(s->feed, clock_now_ms());
                importfeed_tick(s->importfeed, clock_now_ms());
                curves_tick(s->curves);
                http_run(s->http, readable);
                if (s->draining && (service_drained(s->service) || clock_now_ms() >= s->end_ms))
                        return 0;
        }
}
