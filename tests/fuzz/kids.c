#include "kids.h"

#include "daemon/common/children.h"
#include "fuzz.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Above every process's. */
enum { FIRST_PID = 1 << 30, MAX_KIDS = 64 };

/* Dead ones make room when the front has reaped them. */
static struct kid kids[MAX_KIDS];
static int next_pid = FIRST_PID, spare_fd = -1;
static const char *next_role;

int __real_child_start(struct children *cs, const char *const *args, const struct child_hooks *hooks,
        struct child **ret, struct err *e);
int __wrap_child_start(struct children *cs, const char *const *args, const struct child_hooks *hooks,
        struct child **ret, struct err *e);
int __real_socketpair(int domain, int type, int protocol, int pair[2]);
int __wrap_socketpair(int domain, int type, int protocol, int pair[2]);
pid_t __wrap_fork(void);
int __real_kill(pid_t pid, int number);
int __wrap_kill(pid_t pid, int number);
pid_t __real_waitpid(pid_t pid, int *status, int options);
pid_t __wrap_waitpid(pid_t pid, int *status, int options);

static struct kid *by_pid(pid_t pid)
{
        for (int i = 0; i < MAX_KIDS; i++)
                if (kids[i].pid == pid)
                        return &kids[i];
        return NULL;
}

int __wrap_child_start(struct children *cs, const char *const *args, const struct child_hooks *hooks,
        struct child **ret, struct err *e)
{
        next_role = args[1];
        for (int i = 2; args[i];
                i += 2) /* what the front passes on is a value, and a device's has one form */
                FUZZ_CHECK(strncmp(args[i], "--", 2) == 0 && args[i + 1] && args[i + 1][0] != '-' &&
                           (strcmp(args[i], "--device") != 0 ||
                                   args[i + 1][strspn(args[i + 1], "0123456789:")] == '\0'));
        int rc = __real_child_start(cs, args, hooks, ret, e);
        next_role = NULL;
        if (spare_fd >= 0)
                close(spare_fd);
        spare_fd = -1;
        return rc;
}

int __wrap_socketpair(int domain, int type, int protocol, int pair[2])
{
        int rc = __real_socketpair(domain, type, protocol, pair);
        if (rc == 0 && next_role)
                spare_fd = dup(pair[1]);
        return rc;
}

pid_t __wrap_fork(void)
{
        struct kid *k = by_pid(0);
        if (!k || spare_fd < 0) {
                errno = EAGAIN;
                return -1;
        }
        *k = (struct kid){.alive = true, .pid = next_pid++, .chan = chan_create(spare_fd)};
        snprintf(k->role, sizeof k->role, "%s", next_role);
        spare_fd = -1;
        return k->pid;
}

int __wrap_kill(pid_t pid, int number)
{
        struct kid *k = pid >= FIRST_PID ? by_pid(pid) : NULL;
        if (pid < FIRST_PID)
                return __real_kill(pid, number);
        if (k && k->alive)
                kids_die(k, number);
        return 0;
}

pid_t __wrap_waitpid(pid_t pid, int *status, int options)
{
        struct kid *k = by_pid(pid);
        if (pid < FIRST_PID)
                return __real_waitpid(pid, status, options);
        FUZZ_CHECK(k && (!k->alive || (options & WNOHANG)));
        if (k->alive)
                return 0;
        if (status)
                *status = k->status;
        *k = (struct kid){0};
        return pid;
}

struct kid *kids_find(const char *role)
{
        struct kid *last = NULL;
        for (int i = 0; i < MAX_KIDS; i++)
                if (kids[i].alive && strcmp(kids[i].role, role) == 0 && (!last || kids[i].pid > last->pid))
                        last = &kids[i];
        return last;
}

struct kid *kids_next(const struct kid *k)
{
        for (int i = k ? (int)(k - kids) + 1 : 0; i < MAX_KIDS; i++)
                if (kids[i].alive)
                        return &kids[i];
        return NULL;
}

bool kids_hear(struct kid *k, struct chan_message *ret)
{
        struct err e;
        int rc = chan_next(k->chan, ret, &e);
        if (rc < 0) /* the front closed its end: a child ends by itself then */
                kids_die(k, 0);
        return rc > 0;
}

void kids_say(struct kid *k, cJSON *head, const void *raw, size_t raw_len)
{
        struct err e;
        FUZZ_CHECK(head);
        (void)chan_post(k->chan, head, raw, raw_len, &e); /* a front that closed the channel hears nothing */
        cJSON_Delete(head);
}

void kids_babble(struct kid *k, const void *bytes, size_t len)
{
        ssize_t n = send(chan_fd(k->chan), bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);
        (void)n;
}

void kids_die(struct kid *k, int status)
{
        k->alive = false;
        k->status = status;
        chan_destroy(k->chan);
        k->chan = NULL;
}

void kids_forget(void)
{
        for (int i = 0; i < MAX_KIDS; i++)
                if (kids[i].alive)
                        kids_die(&kids[i], 0);
        memset(kids, 0, sizeof kids);
}
