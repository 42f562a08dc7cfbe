#include "daemon/common/children.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* TURN_US: so long one that never stops talking is listened to before others have their turn. */
enum { REAP_STEP_MS = 20, STARVED_MS = 20, END_GRACE_MS = 2000, MAX_EVENTS = 32, TURN_US = 5000 };
/* Between looks at a child that is stuck; and how long an end waits for all. */
enum { STUCK_STEP_MS = 500, LAST_STEP_MS = 1, LAST_WAIT_MS = 5000 };
/* Of 1000, which are all of the machine's memory. */
static const char oom_score[] = "500";

struct child {
        struct children *home; /* borrowed */
        struct child *next;
        struct child_hooks hooks;
        struct chan *chan; /* owned; NULL once it is closed */
        pid_t pid;
        bool wants_write;   /* what epoll was told */
        int64_t kill_at_ms; /* when a child whose channel is closed is killed */
        int64_t killed_ms;  /* 0: it was not */
        bool stuck;
        long long oom_kills;      /* at its start */
        struct chan_message held; /* owned; one that could not be taken for want of memory */
        bool holds, starved;      /* starved: to be served again soon, though nothing comes */
        bool more;                /* it has said more than was heard */
};

struct children {
        struct child *list;
        int epoll_fd; /* owned */
        int lock_fd;  /* borrowed */
};

int children_create(int lock_fd, struct children **ret, struct err *e)
{
        struct children *cs = calloc(1, sizeof *cs);
        if (!cs)
                return err_set(e, ERR_NO_MEMORY, "no memory for child processes");
        cs->lock_fd = lock_fd;
        cs->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        if (cs->epoll_fd < 0) {
                int rc = err_errno(e, errno, "epoll");
                free(cs);
                return rc;
        }
        *ret = cs;
        return 0;
}

static void child_free(struct child *c)
{
        chan_message_finish(&c->held);
        chan_destroy(c->chan);
        free(c);
}

static bool ends_until(pid_t pid, int64_t end_ms)
{
        while (waitpid(pid, NULL, WNOHANG) == 0) {
                if (clock_now_ms() >= end_ms)
                        return false;
                nanosleep(&(struct timespec){.tv_nsec = LAST_STEP_MS * 1000000L}, NULL);
        }
        return true;
}

void children_destroy(struct children *cs)
{
        if (!cs)
                return;
        for (struct child *c = cs->list; c; c = c->next)
                kill(c->pid, SIGKILL);
        const int64_t end_ms = clock_now_ms() + LAST_WAIT_MS;
        while (cs->list) {
                struct child *c = cs->list;
                cs->list = c->next;
                if (!ends_until(c->pid, end_ms))
                        log_line(LOG_WARN,
                                "process %d was killed and does not end: the kernel holds it. It is left "
                                "behind, and until it ends no cnnd can start on this state folder",
                                (int)c->pid);
                child_free(c);
        }
        close(cs->epoll_fd);
        free(cs);
}

/* How many processes the kernel has killed for want of memory; 0 where it does not tell. */
static long long oom_kills(void)
{
        char line[100];
        long long count = 0;
        FILE *f = fopen("/proc/vmstat", "re");
        while (f && fgets(line, sizeof line, f) && sscanf(line, "oom_kill %lld", &count) != 1)
                continue;
        if (f)
                fclose(f);
        return count;
}

/* Where memory is out the kernel is to take a child before the front, which may be larger for a while. */
static void go_first(void)
{
        int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
        if (fd < 0)
                return;
        ssize_t n = write(fd, oom_score, sizeof oom_score - 1);
        (void)n; /* it stays as it was */
        close(fd);
}

/* In the child, between fork and exec: only async-signal-safe calls. Never returns. */
static void become_role(pid_t parent, int channel, int lock_fd, char *const *argv)
{
        sigset_t none;
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        /* The front drains on these and tells its children; the terminal and systemd send them to all. */
        signal(SIGINT, SIG_IGN);
        signal(SIGTERM, SIG_IGN);
        signal(SIGHUP, SIG_IGN);
        signal(SIGPIPE, SIG_IGN);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
                _exit(127);
        go_first();
        int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        /* Above the targets first, so that neither dup2 overwrites the other's source. */
        int high_channel = fcntl(channel, F_DUPFD, 16), high_lock = fcntl(lock_fd, F_DUPFD, 16);
        if (null_fd < 0 || high_channel < 0 || high_lock < 0 || dup2(null_fd, 0) < 0 || dup2(2, 1) < 0 ||
                dup2(high_channel, CHILD_FD) < 0 || dup2(high_lock, CHILD_LOCK_FD) < 0)
                _exit(127);
        close_range(CHILD_LOCK_FD + 1, ~0U, 0);
        execv("/proc/self/exe", argv);
        _exit(127);
}

static int spawn(struct children *cs, const char *const *args, int channel, pid_t *ret, struct err *e)
{
        char *argv[CHILD_MAX_ARGS + 2] = {(char *)(uintptr_t) "cnnd"};
        int n = 1;
        for (int i = 0; args[i]; i++) {
                if (n > CHILD_MAX_ARGS)
                        return err_set(
                                e, ERR_INTERNAL, "a child with more than %d arguments", CHILD_MAX_ARGS);
                argv[n++] = (char *)(uintptr_t)args[i];
        }
        pid_t parent = getpid(), pid = fork();
        if (pid < 0)
                return err_errno(e, errno, "fork");
        if (pid == 0)
                become_role(parent, channel, cs->lock_fd, argv);
        *ret = pid;
        return 0;
}

int child_start(struct children *cs, const char *const *args, const struct child_hooks *hooks,
        struct child **ret, struct err *e)
{
        int pair[2] = {-1, -1}, rc = 0;
        struct child *c = calloc(1, sizeof *c);
        if (!c)
                return err_set(e, ERR_NO_MEMORY, "no memory for a child process");
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
                rc = err_errno(e, errno, "socketpair");
                goto out;
        }
        c->home = cs;
        c->hooks = *hooks;
        c->oom_kills = oom_kills();
        c->chan = chan_create(pair[0]);
        if (!c->chan) {
                rc = err_set(e, ERR_NO_MEMORY, "no memory for a channel");
                goto out;
        }
        pair[0] = -1;
        rc = spawn(cs, args, pair[1], &c->pid, e);
        if (rc)
                goto out;
        struct epoll_event want = {.events = EPOLLIN, .data.ptr = c};
        if (epoll_ctl(cs->epoll_fd, EPOLL_CTL_ADD, chan_fd(c->chan), &want) < 0) {
                rc = err_errno(e, errno, "epoll");
                kill(c->pid, SIGKILL);
                waitpid(c->pid, NULL, 0);
                goto out;
        }
        c->next = cs->list;
        cs->list = c;
        *ret = c;
        c = NULL;
out:
        if (pair[0] >= 0)
                close(pair[0]);
        if (pair[1] >= 0)
                close(pair[1]);
        if (c)
                child_free(c);
        return rc;
}

pid_t child_pid(const struct child *c)
{
        return c->pid;
}

static void watch_writes(struct child *c)
{
        bool wants = chan_wants_write(c->chan);
        if (wants == c->wants_write)
                return;
        struct epoll_event want = {.events = EPOLLIN | (wants ? EPOLLOUT : 0U), .data.ptr = c};
        if (epoll_ctl(c->home->epoll_fd, EPOLL_CTL_MOD, chan_fd(c->chan), &want) == 0)
                c->wants_write = wants;
}

int child_send(struct child *c, const cJSON *head, const void *raw, size_t raw_len, struct err *e)
{
        struct err why = {0};
        if (!c->chan)
                return 0;
        int rc = chan_post(c->chan, head, raw, raw_len, &why);
        watch_writes(c);
        if (rc == ERR_NO_MEMORY || rc == ERR_TOO_LARGE) {
                *e = why;
                return rc;
        }
        return 0; /* a peer that is gone is found by children_run */
}

void child_close(struct child *c)
{
        if (!c->chan)
                return;
        /* Explicitly: a child between fork and exec may still hold a copy, which would keep it in the set. */
        epoll_ctl(c->home->epoll_fd, EPOLL_CTL_DEL, chan_fd(c->chan), NULL);
        chan_destroy(c->chan);
        c->chan = NULL;
        c->kill_at_ms = clock_now_ms() + END_GRACE_MS;
}

static void end_now(struct child *c)
{
        kill(c->pid, SIGKILL);
        c->killed_ms = clock_now_ms();
}

void child_kill(struct child *c)
{
        end_now(c);
        child_close(c);
}

int children_fd(const struct children *cs)
{
        return cs->epoll_fd;
}

int children_timeout_ms(const struct children *cs)
{
        int least = -1;
        for (const struct child *c = cs->list; c; c = c->next) {
                if (c->chan && c->more)
                        return 0;
                const int ms = c->chan ? STARVED_MS : c->stuck ? STUCK_STEP_MS : REAP_STEP_MS;
                if ((!c->chan || c->starved) && (least < 0 || ms < least))
                        least = ms;
        }
        return least;
}

/* Hands on what has come, of what never ends a part. 0, or why no more will. */
static int take_messages(struct child *c, struct err *e)
{
        const int64_t end_us = clock_now_us() + TURN_US;
        int rc = 0;
        c->starved = c->more = false;
        while (c->chan && !c->more) {
                if (!c->holds) {
                        rc = chan_next(c->chan, &c->held, e);
                        c->holds = rc > 0;
                }
                json_begin();
                if (c->holds)
                        rc = c->hooks.message(c->hooks.ctx, c, &c->held);
                c->starved = rc == ERR_NO_MEMORY;
                if (c->starved || !c->holds)
                        break;
                chan_message_finish(&c->held);
                c->holds = false;
                c->more = clock_now_us() >= end_us;
        }
        return c->starved ? 0 : rc;
}

static void serve(struct child *c, uint32_t ready)
{
        struct err e;
        if (ready & EPOLLOUT) {
                /* A failed write leaves what the child said before it died to be read. */
                if (chan_flush(c->chan, &e) == 0)
                        watch_writes(c);
        }
        int rc = take_messages(c, &e);
        if (!c->chan || rc == 0)
                return;
        if (rc != ERR_CLOSED)
                log_line(LOG_WARN, "channel of process %d: %s", (int)c->pid, e.message);
        child_close(c);
}

bool child_was_killed(int status)
{
        return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

bool child_found_unreadable(int status)
{
        return WIFEXITED(status) && WEXITSTATUS(status) == CHILD_UNREADABLE;
}

static void describe(const struct child *c, int status, char *out, size_t size)
{
        if (WIFSIGNALED(status))
                snprintf(out, size, "killed by signal %d (%s)%s", WTERMSIG(status),
                        strsignal(WTERMSIG(status)),
                        child_was_killed(status) && oom_kills() > c->oom_kills
                                ? ", and the kernel has killed for want of memory meanwhile"
                                : "");
        else if (child_found_unreadable(status))
                snprintf(out, size, "ended by a file that cannot be read: the disk fails, or it was cut");
        else
                snprintf(out, size, "ended with status %d", WEXITSTATUS(status));
}

/* Takes `c` out of the list if it has ended. */
static bool reap(struct child **place, int64_t now_ms)
{
        struct child *c = *place;
        int status = 0;
        char why[120];
        pid_t rc = waitpid(c->pid, &status, WNOHANG);
        if (rc == 0) {
                if (!c->killed_ms && now_ms >= c->kill_at_ms)
                        end_now(c);
                if (c->killed_ms && !c->stuck && now_ms - c->killed_ms >= CHILD_STUCK_MS) {
                        c->stuck = true;
                        if (c->hooks.stuck)
                                c->hooks.stuck(c->hooks.ctx, c);
                }
                return false;
        }
        describe(c, status, why, sizeof why);
        *place = c->next;
        c->hooks.gone(c->hooks.ctx, c, status, why);
        child_free(c);
        return true;
}

void children_run(struct children *cs)
{
        struct epoll_event events[MAX_EVENTS];
        for (struct child *c = cs->list; c; c = c->next)
                if (c->chan && c->more)
                        serve(c, 0);
        int n = epoll_wait(cs->epoll_fd, events, MAX_EVENTS, 0);
        for (int i = 0; i < n; i++) {
                struct child *c = events[i].data.ptr;
                if (c->chan && !(c->more && events[i].events == EPOLLIN))
                        serve(c, events[i].events);
        }
        int64_t now = clock_now_ms();
        /* A hook may start children: they are put in front of `place`, which stays valid. */
        for (struct child **place = &cs->list; *place;) {
                struct child *c = *place;
                if (c->chan && c->starved)
                        serve(c, 0);
                if (c->chan || !reap(place, now))
                        place = &(*place)->next;
        }
}
