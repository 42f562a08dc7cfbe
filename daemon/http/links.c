#include "daemon/http/links.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "daemon/http/problem.h"

#include <errno.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

/* LOOK_BACK_MS: longer than links_expire is called apart. SPARE: of a listener's connections, so many are
 * there for who comes when the others are taken: at most a quarter. STALL_MS: a stream's client that takes
 * nothing in this time has gone. STREAM_BYTES: of a stream that the kernel keeps for one. */
enum { SPARE = 64, LOOK_BACK_MS = 1000, STALL_MS = 10000, STREAM_BYTES = 64 << 10 };

void links_init(struct links *ls, const struct http_options *o)
{
        *ls = (struct links){.o = o};
        TAILQ_INIT(&ls->resting);
        TAILQ_INIT(&ls->working);
}

void link_end(struct link *l, int status, const struct err *e)
{
        struct str text = {0}, answer = {0};
        if (l->reading && !l->tls) {
                problem_write(&text, status, e, false);
                str_addf(&answer,
                        "HTTP/1.1 %d %s\r\nContent-Type: application/problem+json\r\nContent-Length: %zu\r\n"
                        "Connection: close\r\n\r\n%s",
                        status, problem_title(status), text.len, text.data ? text.data : "");
                if (!answer.failed && send(l->fd, answer.data, answer.len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
                        log_line(LOG_DEBUG, "http: who is turned away is gone already");
                str_free(&text);
                str_free(&answer);
        }
        shutdown(l->fd, SHUT_RDWR);
        l->deadline_ms = 0;
        l->closed = true;
}

static struct link *longest_resting(const struct links *ls, const struct link *but)
{
        struct link *l;
        TAILQ_FOREACH(l, &ls->resting, place)
        if (l != but && l->local == but->local && !l->closed && !(l->local && l->who.operator))
                return l;
        return NULL;
}

/* On the Unix socket the spare ones are the operators'. */
static void make_room(struct links *ls, struct link *l)
{
        int64_t most = ls->o->max_connections, spare = SPARE < most / 4 ? SPARE : most / 4;
        struct err e = {0};
        if (ls->open[l->local] <= most - spare)
                return;
        err_set(&e, ERR_UNAVAILABLE, "too many connections at once, try again soon");
        struct link *other = longest_resting(ls, l);
        if (other)
                link_end(other, 503, &e);
        else if (l->local && !l->who.operator)
                link_end(l, 503, &e);
}

static int find_out(struct link *l, struct err *e)
{
        struct sockaddr_storage sa;
        struct ucred peer = {.uid = (uid_t)-1};
        socklen_t sa_len = sizeof sa, peer_len = sizeof peer;
        l->local = getsockname(l->fd, (struct sockaddr *)&sa, &sa_len) == 0 && sa.ss_family == AF_UNIX;
        if (!l->local)
                return 0;
        if (getsockopt(l->fd, SOL_SOCKET, SO_PEERCRED, &peer, &peer_len) != 0)
                return err_set(e, ERR_DENIED, "whose process this is cannot be found out");
        l->uid = peer.uid;
        return 0;
}

/* Counts the connection for another, or for nobody where that fails. */
static int claim(struct link *l, const struct identity *who, struct err *e)
{
        const struct http_options *o = l->home->o;
        if (l->who.user[0])
                o->leave(o->ctx, &l->who);
        l->who.user[0] = '\0';
        int rc = o->enter(o->ctx, who, e);
        if (rc == 0)
                l->who = *who;
        return rc;
}

struct link *links_add(struct links *ls, int fd)
{
        struct identity who;
        struct err e = {0};
        struct link *l = calloc(1, sizeof *l);
        if (!l)
                return NULL;
        l->home = ls;
        l->fd = fd;
        l->uid = (uid_t)-1;
        l->reading = true;
        l->since_ms = clock_now_ms();
        l->deadline_ms = l->since_ms + (int64_t)(ls->o->header_seconds * 1000);
        int rc = find_out(l, &e);
        if (!l->local && ls->tls)
                l->tls = tls_keep(ls->tls);
        TAILQ_INSERT_TAIL(&ls->resting, l, place);
        ls->open[l->local]++;
        if (rc == 0 && l->local)
                rc = ls->o->peer(ls->o->ctx, l->uid, &who, &e);
        if (rc == 0 && l->local)
                rc = claim(l, &who, &e);
        if (rc)
                link_end(l, problem_status(e.code), &e);
        else
                make_room(ls, l);
        return l;
}

void links_remove(struct link *l)
{
        if (!l)
                return;
        struct links *ls = l->home;
        TAILQ_REMOVE(l->works ? &ls->working : &ls->resting, l, place);
        ls->open[l->local]--;
        if (l->who.user[0])
                ls->o->leave(ls->o->ctx, &l->who);
        tls_drop(l->tls);
        free(l);
}

void link_streams(struct link *l)
{
        const int bytes = STREAM_BYTES;
        l->streams = true;
        l->held = 0;
        l->taken = 0;
        if (setsockopt(l->fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes) != 0)
                log_line(LOG_WARN, "http: a stream's socket keeps its size: %s", strerror(errno));
}

/* Who takes some, however slowly, is there. On TCP the client's system takes it, so that a client that is
   stopped may rest; on a Unix socket it itself does, and may leave alone what there is still room for.
   TCP_USER_TIMEOUT also ends who takes less at a time than is next to be sent. */
static bool takes_some(struct link *l)
{
        struct pollfd p = {.fd = l->fd, .events = POLLOUT};
        struct tcp_info t = {0};
        socklen_t len = sizeof t;
        const struct link before = *l;
        if (ioctl(l->fd, SIOCOUTQ, &l->held) != 0)
                return false;
        if (l->held == 0)
                return true;
        if (l->local)
                return l->held < before.held || poll(&p, 1, 0) > 0;
        if (getsockopt(l->fd, IPPROTO_TCP, TCP_INFO, &t, &len) != 0)
                return false;
        l->taken = t.tcpi_bytes_acked;
        return l->taken ? l->taken != before.taken : l->held < before.held; /* 0: the kernel does not say */
}

static void expire_some(struct link_list *list, int64_t now_ms, const struct err *e)
{
        struct link *l;
        TAILQ_FOREACH(l, list, place)
        {
                if (l->streams && !l->closed && takes_some(l))
                        l->deadline_ms = now_ms + STALL_MS;
                if (l->deadline_ms && l->deadline_ms <= now_ms)
                        link_end(l, 408, e);
        }
}

/* Who has had an answer and sends nothing more may wait for the end: where the last bytes and that came
   together, the library does not look again. */
static void end_finished(struct links *ls, int64_t now_ms)
{
        struct link *l;
        char byte;
        TAILQ_FOREACH_REVERSE(l, &ls->resting, link_list, place)
        {
                if (l->since_ms < now_ms - LOOK_BACK_MS)
                        break;
                if (!l->reading && !l->closed && recv(l->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0)
                        link_end(l, 0, NULL);
        }
}

void links_expire(struct links *ls, int64_t now_ms)
{
        end_finished(ls, now_ms);
        struct err e = {0};
        err_set(&e, ERR_SYNTAX, "the request came in too slowly");
        expire_some(&ls->resting, now_ms, &e);
        expire_some(&ls->working, now_ms, &e);
}

int link_work(struct link *l, const struct identity *who, struct err *e)
{
        if (!l->local && strcmp(l->who.user, who->user) != 0) {
                int rc = claim(l, who, e);
                if (rc)
                        return rc;
        }
        TAILQ_REMOVE(&l->home->resting, l, place);
        TAILQ_INSERT_TAIL(&l->home->working, l, place);
        l->works = true;
        return 0;
}

void link_rest(struct link *l)
{
        l->reading = false;
        l->streams = false;
        l->since_ms = clock_now_ms();
        l->deadline_ms = l->since_ms + (int64_t)(l->home->o->idle_seconds * 1000);
        TAILQ_REMOVE(l->works ? &l->home->working : &l->home->resting, l, place);
        TAILQ_INSERT_TAIL(&l->home->resting, l, place);
        l->works = false;
}
