/* Commands of the front that wait for the engine thread, in order. No locks: engine.c has one. */
#ifndef CNND_COMMANDS_H
#define CNND_COMMANDS_H

#include "base/chan.h"

struct command {
        struct command *next;
        struct chan_message m; /* owned */
};

struct commands {
        struct command *first, *last;
};

/* Takes the message; NULL, and takes nothing, when memory is out. */
struct command *command_create(struct chan_message *m);
void command_free(struct command *c);

/* Takes it. */
void commands_push(struct commands *q, struct command *c);
/* The first, the caller's now; NULL for none. */
struct command *commands_pop(struct commands *q);

#endif
