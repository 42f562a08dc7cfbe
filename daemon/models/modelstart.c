#include "daemon/models/modelstart.h"

#include "base/log.h"
#include "daemon/models/modelcore.h"
#include "daemon/models/modelfit.h"
#include "daemon/models/modelrow.h"

#include <stdlib.h>
#include <string.h>

/* Takes up a file as it is: its owner's, if the row still is the file's, else the operators'. *ret_done: it
   could be read. A damaged one stays with the row, whose owner may replace it. */
static int read_again(struct models *ms, const char *name, bool owned, bool *ret_done, struct err *e)
{
        struct err why;
        int rc = store_begin(ms->store, e);
        if (rc)
                return rc;
        rc = models_record(ms, name, "", 0, NULL, &why);
        if (rc == 0 && !owned)
                rc = modelrow_disown(ms->store, name, &why);
        if (rc == 0)
                rc = store_commit(ms->store, &why);
        if (rc)
                store_rollback(ms->store);
        *ret_done = rc == 0;
        if (rc == 0)
                return 0;
        if (rc == ERR_NO_MEMORY) {
                *e = why;
                return rc;
        }
        log_line(LOG_ERROR, "model %s: %s", name, why.message);
        return modelfile_damaged(rc) ? 0 : modelcore_miss(ms, name, e);
}

/* A state folder may have been copied, or a database put back that is older than its files: what no row tells
   of is an operator's then, and so is what stands where a row tells of another file, for somebody else may
   have taken the name. But what was being placed when the front died nobody was told of. */
static int set_right(
        struct models *ms, const char *name, const struct modelfile_stat *file, bool *ret_done, struct err *e)
{
        enum modelfit fit;
        char mark[MARK_DIGITS + 1];
        int rc = modelfit_look(ms->store, &ms->files, name, file, &fit, mark, e);
        *ret_done = fit != MODELFIT_UNREAD;
        if (rc || fit == MODELFIT_SAME)
                return rc;
        if (fit == MODELFIT_UNREAD)
                return modelcore_miss(ms, name, e);
        if (fit == MODELFIT_COPY)
                return modelrow_set_file(ms->store, name, file, mark, e);
        if (fit == MODELFIT_NONE && file->unsettled) {
                log_line(LOG_WARN, "model %s: cnnd ended before it was stored; its file is removed", name);
                return modelfile_discard(&ms->files, name, e);
        }
        log_line(LOG_WARN, "model %s: %s", name,
                file->unsettled ? "the file is newer than its row; reading it again"
                                : "no row is this file's, so it is the operators', until `cnnd model give`");
        return read_again(ms, name, file->unsettled, ret_done, e);
}

static int reconcile_file(void *ctx, const char *name, const struct modelfile_stat *file, struct err *e)
{
        struct models *ms = ctx;
        bool done;
        int rc = set_right(ms, name, file, &done, e);
        if (rc == 0 && done && file->unsettled)
                modelfile_settle(&ms->files, name, true);
        return rc;
}

/* Rows without a file: what a user had deleted goes, all else stays. Its file may come back with the file
   system that it lies on. *ret is the first that goes, malloc'ed, NULL for none. */
static int look_for_files(struct models *ms, char **ret, struct err *e)
{
        sqlite3_stmt *st;
        int missing = 0;
        struct err why, first = {0};
        int rc = store_prepare(ms->store, "SELECT name FROM models ORDER BY name", &st, e);
        while (rc == 0 && !*ret && (rc = store_step(ms->store, st, e)) > 0) {
                const char *name = store_text(st, 0);
                rc = 0;
                if (modelfile_look(&ms->files, name, &why) == 0)
                        continue;
                if (!modelfile_went(&ms->files, name))
                        rc = modelcore_miss(ms, name, e);
                else if (!(*ret = strdup(name)))
                        rc = err_set(e, ERR_NO_MEMORY, "no memory for a name");
                if (!missing++)
                        first = why;
        }
        sqlite3_reset(st);
        if (rc == 0 && !*ret && missing)
                log_line(LOG_ERROR, "%s: models without their files, which are kept: %d; %s", ms->files.dir,
                        missing, first.message);
        return rc;
}

static int drop_deleted(struct models *ms, struct err *e)
{
        char *gone;
        int rc;
        do {
                gone = NULL;
                rc = look_for_files(ms, &gone, e);
                if (rc == 0 && gone)
                        rc = modelcore_drop(ms, gone, e);
                free(gone);
        } while (rc == 0 && gone);
        return rc;
}

int modelstart_read(struct models *ms, struct err *e)
{
        int rc = modelfile_each(&ms->files, reconcile_file, ms, e);
        if (rc == 0)
                rc = drop_deleted(ms, e);
        return rc ? rc : modelfile_forget(&ms->files, e);
}
