#include "daemon/worker/commands.h"

#include <stdlib.h>

struct command *command_create(struct chan_message *m)
{
        struct command *c = calloc(1, sizeof *c);
        if (!c)
                return NULL;
        c->m = *m;
        *m = (struct chan_message){0};
        return c;
}

void command_free(struct command *c)
{
        if (!c)
                return;
        chan_message_finish(&c->m);
        free(c);
}

void commands_push(struct commands *q, struct command *c)
{
        c->next = NULL;
        if (q->last)
                q->last->next = c;
        else
                q->first = c;
        q->last = c;
}

struct command *commands_pop(struct commands *q)
{
        struct command *c = q->first;
        if (c) {
                q->first = c->next;
                if (!q->first)
                        q->last = NULL;
        }
        return c;
}
