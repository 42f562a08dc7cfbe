/* Child processes of the front, one for each role, and the event loop over their channels.

   A child is this same binary started with `--role NAME …`; it has the channel on descriptor 3, its standard
   output on the front's standard error, ignores SIGINT and SIGTERM (the front tells it what to do), and dies
   with the front: by PR_SET_PDEATHSIG, and by the end of its channel. It also inherits the state folder's
   lock, so that a new front waits until the last child of a killed one is gone. One thread. */
#ifndef CNND_CHILDREN_H
#define CNND_CHILDREN_H

#include "base/chan.h"
#include "base/err.h"

#include <stdbool.h>
#include <sys/types.h>

enum { CHILD_FD = 3, CHILD_LOCK_FD = 4, CHILD_MAX_ARGS = 16, CHILD_STUCK_MS = 5000 };
/* The exit status of one that came upon a mapped file that cannot be read: see file_guard_maps. */
enum { CHILD_UNREADABLE = 74 };

struct children;
struct child;

/* Called from children_run only. */
struct child_hooks {
        void *ctx;
        /* One message; the callee may take parts of it (and zero them). 0, or ERR_NO_MEMORY when it could not
           be taken: it is then untouched and comes again. */
        int (*message)(void *ctx, struct child *c, struct chan_message *m);
        /* The child has ended and was reaped; `status` is waitpid's, `why` tells it in words ("killed by
           signal 9 (Killed)"), and of a kill whether the kernel was out of memory. `c` is freed after the
           call. */
        void (*gone)(void *ctx, struct child *c, int status, const char *why);
        /* It was killed CHILD_STUCK_MS ago and has not ended: the kernel holds it, in a driver or for a disk
           that does not answer. `gone` follows when it lets go, if ever. NULL: that is waited for. */
        void (*stuck)(void *ctx, struct child *c);
};

/* `lock_fd` is the state folder's lock, borrowed. */
int children_create(int lock_fd, struct children **ret, struct err *e);
/* Kills and reaps every child, but for what does not end within some seconds; calls no hooks. */
void children_destroy(struct children *cs);

/* Starts /proc/self/exe with `args` (NULL-terminated, the program's name not among them). `hooks` is copied.
 */
int child_start(struct children *cs, const char *const *args, const struct child_hooks *hooks,
        struct child **ret, struct err *e);
/* Queues a message. A peer that is gone is no error here: `gone` tells. */
int child_send(struct child *c, const cJSON *head, const void *raw, size_t raw_len, struct err *e);
/* Closes the channel, so that the child ends by itself; `gone` follows. */
void child_close(struct child *c);
/* SIGKILL; `gone` follows. */
void child_kill(struct child *c);
pid_t child_pid(const struct child *c);
/* Whether a child that ended with `status` was killed by somebody else, an operator or the kernel that wants
   memory: by what it does itself, and by its limits, no process ends so. */
bool child_was_killed(int status);
/* Whether it ended so. */
bool child_found_unreadable(int status);

/* A descriptor to poll for POLLIN: readable when children_run has something to do. */
int children_fd(const struct children *cs);
/* Reads, writes and reaps without blocking, and calls the hooks. */
void children_run(struct children *cs);
/* Milliseconds until children_run should be called though nothing is readable; -1 for never. */
int children_timeout_ms(const struct children *cs);

#endif
