#include "daemon/store/carry.h"

#include "base/json.h"
#include "daemon/common/wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct carry {
        struct carries *home; /* borrowed */
        struct carry *next;
        int id;
        struct child *child; /* NULL once it is killed */
        char *to;            /* owned; the file too, until it is handed over */
        char *what;          /* owned */
        carry_done done;
        void *ctx;
        struct err error; /* what the child said */
};

struct carries {
        struct children *kids;
        struct carry *list;
        int next_id;
};

struct carries *carries_create(struct children *kids)
{
        struct carries *cs = calloc(1, sizeof *cs);
        if (cs)
                cs->kids = kids;
        return cs;
}

static void carry_free(struct carry *c)
{
        if (c->to)
                unlink(c->to);
        free(c->to);
        free(c->what);
        free(c);
}

void carries_destroy(struct carries *cs)
{
        if (!cs)
                return;
        while (cs->list) {
                struct carry *c = cs->list;
                cs->list = c->next;
                carry_free(c);
        }
        free(cs);
}

bool carry_needed(const char *file, const char *dir)
{
        struct stat a, b;
        return stat(file, &a) == 0 && stat(dir, &b) == 0 && a.st_dev != b.st_dev;
}

static int child_message(void *ctx, struct child *child, struct chan_message *m)
{
        const cJSON *error = json_field(m->head, "error");
        (void)child;
        if (error)
                (void)wire_error_read(error, &((struct carry *)ctx)->error);
        return 0;
}

static void child_gone(void *ctx, struct child *child, int status, const char *why)
{
        struct carry *c = ctx;
        char *path = NULL;
        (void)child;
        for (struct carry **place = &c->home->list; *place; place = &(*place)->next)
                if (*place == c) {
                        *place = c->next;
                        break;
                }
        if (status == 0) {
                path = c->to;
                c->to = NULL;
        } else if (!c->error.code) {
                err_set(&c->error, ERR_IO, "the copying of %s was %s", c->what, why);
        }
        c->done(c->ctx, path, path ? NULL : &c->error);
        carry_free(c);
}

int carry_begin(struct carries *cs, const char *file, const char *dir, const char *what, carry_done done,
        void *ctx, int *ret_id, struct err *e)
{
        const struct carry first = {.home = cs, .id = cs->next_id + 1, .done = done, .ctx = ctx};
        struct carry *c = calloc(1, sizeof *c);
        int rc = ERR_NO_MEMORY;
        if (c) {
                *c = first;
                c->what = strdup(what);
                if (asprintf(&c->to, "%s/.new-carried-%d", dir, c->id) < 0)
                        c->to = NULL;
        }
        if (!c || !c->what || !c->to)
                err_set(e, rc, "no memory to copy %s", what);
        else {
                const char *const args[] = {
                        "--role", "carry", "--from", file, "--to", c->to, "--name", what, NULL};
                const struct child_hooks hooks = {.ctx = c, .message = child_message, .gone = child_gone};
                unlink(c->to);
                rc = child_start(cs->kids, args, &hooks, &c->child, e);
        }
        if (rc) {
                if (c)
                        carry_free(c);
                return rc;
        }
        *ret_id = cs->next_id = c->id;
        c->next = cs->list;
        cs->list = c;
        return 0;
}

void carry_stop(struct carries *cs, int id)
{
        for (struct carry *c = cs->list; c; c = c->next)
                if (c->id == id && c->child) {
                        child_kill(c->child);
                        c->child = NULL;
                }
}
