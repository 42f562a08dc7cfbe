#include "daemon/models/modelcore.h"

#include "base/clock.h"
#include "base/log.h"
#include "daemon/models/modelrow.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* So long what could not be read, or not be noted, is not tried again: lists are asked for all the time. */
enum { AGAIN_MS = 5000 };

int modelcore_drop(struct models *ms, const char *name, struct err *e)
{
        model_memory_clear(&ms->known);
        return modelrow_drop(ms->store, name, e);
}

/* Where the name stands, or would; *ret_there: it does. */
static size_t place_of(const struct models *ms, const char *name, bool *ret_there)
{
        size_t low = 0, high = ms->unseen_count;
        *ret_there = false;
        while (low < high && !*ret_there) {
                const size_t middle = low + (high - low) / 2;
                const int order = strcmp(name, ms->unseen[middle].name);
                *ret_there = order == 0;
                if (order > 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        return high;
}

int modelcore_miss(struct models *ms, const char *name, struct err *e)
{
        bool there;
        const size_t at = place_of(ms, name, &there);
        if (there)
                return 0;
        if (ms->unseen_count == ms->unseen_room) {
                const size_t room = ms->unseen_room ? 2 * ms->unseen_room : 16;
                struct unseen *list = realloc(ms->unseen, room * sizeof *list);
                if (!list)
                        return err_set(e, ERR_NO_MEMORY, "no memory for a name");
                ms->unseen = list;
                ms->unseen_room = room;
        }
        memmove(&ms->unseen[at + 1], &ms->unseen[at], (ms->unseen_count++ - at) * sizeof *ms->unseen);
        ms->unseen[at] = (struct unseen){0};
        snprintf(ms->unseen[at].name, sizeof ms->unseen[at].name, "%s", name);
        return 0;
}

static void forget(struct models *ms, size_t at)
{
        memmove(&ms->unseen[at], &ms->unseen[at + 1], (--ms->unseen_count - at) * sizeof *ms->unseen);
}

static bool same_file(const struct modelfile_stat *a, const struct modelfile_stat *b)
{
        return a->inode == b->inode && a->bytes == b->bytes && a->mtime_ns == b->mtime_ns;
}

static int is_other(const char *name, struct err *e)
{
        return err_set(e, ERR_UNAVAILABLE,
                "the file of model '%s' is another one than before; the next start of cnnd finds out whose",
                name);
}

/* The row is set to the file where it can be; where not, a later look tries again. */
static int settle(struct models *ms, size_t at, enum modelfit fit, const struct modelfile_stat *file,
        const char *mark, struct err *e)
{
        struct unseen *u = &ms->unseen[at];
        struct err why;
        const bool set = fit == MODELFIT_COPY && modelrow_set_file(ms->store, u->name, file, mark, &why) == 0;
        if (set || fit == MODELFIT_SAME || fit == MODELFIT_NONE) {
                forget(ms, at);
                return 0;
        }
        u->file = *file;
        u->fit = fit;
        u->looked_ms = clock_now_ms();
        if (fit == MODELFIT_COPY)
                log_line(LOG_WARN, "model %s: %s", u->name, why.message);
        if (fit != MODELFIT_OTHER)
                return 0;
        is_other(u->name, e);
        log_line(LOG_ERROR, "%s", e->message);
        return e->code;
}

/* *ret_unread: what stands there cannot be read, so that nobody can tell. */
static int know_again(struct models *ms, const char *name, bool *ret_unread, struct err *e)
{
        bool there;
        const size_t at = place_of(ms, name, &there);
        struct modelfile_stat file;
        enum modelfit fit;
        char mark[MARK_DIGITS + 1];
        struct err none;
        *ret_unread = false;
        if (!there || modelfile_about(&ms->files, name, &file, &none))
                return 0;
        const struct unseen *u = &ms->unseen[at];
        if (same_file(&file, &u->file)) {
                if (u->fit == MODELFIT_OTHER)
                        return is_other(name, e);
                *ret_unread = u->fit == MODELFIT_UNREAD;
                if (clock_now_ms() - u->looked_ms < AGAIN_MS)
                        return 0;
        }
        int rc = modelfit_look(ms->store, &ms->files, u->name, &file, &fit, mark, e);
        *ret_unread = rc == 0 && fit == MODELFIT_UNREAD;
        return rc ? rc : settle(ms, at, fit, &file, mark, e);
}

int modelcore_other(struct models *ms, const char *name, struct err *e)
{
        bool unread;
        return know_again(ms, name, &unread, e);
}

int modelcore_known(struct models *ms, const char *name, struct err *e)
{
        bool unread;
        int rc = know_again(ms, name, &unread, e);
        return unread ? err_set(e, ERR_UNAVAILABLE, "the file of model '%s' cannot be read", name) : rc;
}
