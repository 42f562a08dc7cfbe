/* The front's children without processes: of daemon/common/children.c all runs but the system calls that make
   a process, which meson.build wraps. What a child would read and say goes through a socket whose other end
   is here. */
#ifndef CNND_KIDS_H
#define CNND_KIDS_H

#include "base/chan.h"

#include <stdbool.h>

struct kid {
        char role[16]; /* "probe", "worker", "decoder", "import" */
        bool alive;
        struct chan *chan; /* its end; closed when it dies */
        int pid, status;
};

/* The living child of a role that began last; NULL for none. */
struct kid *kids_find(const char *role);
/* Those that live, one after the other: NULL begins, NULL is the end. */
struct kid *kids_next(const struct kid *k);
/* The next message from the front; false for none. The caller finishes it. */
bool kids_hear(struct kid *k, struct chan_message *ret);
/* Says a message; takes `head`. */
void kids_say(struct kid *k, cJSON *head, const void *raw, size_t raw_len);
/* Says bytes that may be no message; what does not fit is lost. */
void kids_babble(struct kid *k, const void *bytes, size_t len);
/* Ends with waitpid's status. */
void kids_die(struct kid *k, int status);
/* Forgets all of them: the front is gone. */
void kids_forget(void);

#endif
