#include "daemon/models/modelfit.h"

#include "base/log.h"
#include "daemon/models/modelrow.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

int modelfit_look(struct store *s, const struct modelfile_home *home, const char *name,
        const struct modelfile_stat *file, enum modelfit *ret, char ret_mark[MARK_DIGITS + 1], struct err *e)
{
        sqlite3_stmt *st;
        struct err why;
        char mark[MARK_DIGITS + 1];
        int rc = modelrow_find(s, name, &st, e);
        *ret = MODELFIT_NONE;
        ret_mark[0] = '\0';
        if (rc < 0)
                return rc == ERR_NOT_FOUND ? 0 : rc;
        const char *text = store_text(st, MODELROW_MARK);
        const bool as_long = sqlite3_column_int64(st, MODELROW_BYTES) == file->bytes,
                   as_old = sqlite3_column_int64(st, MODELROW_MTIME) == file->mtime_ns,
                   in_place = as_old && sqlite3_column_int64(st, MODELROW_INODE) == file->inode;
        snprintf(mark, sizeof mark, "%s", text ? text : "");
        rc = store_done(s, st, 0, e);
        if (rc)
                return rc;
        rc = as_long && (!in_place || !mark[0]) ? modelfile_mark(home, name, ret_mark, &why) : 0;
        if (rc == ERR_NO_MEMORY) {
                *e = why;
                return rc;
        }
        if (rc) { /* whose it is cannot be told while the disk fails, or files are short */
                log_line(LOG_ERROR, "model %s: %s", name, why.message);
                *ret = MODELFIT_UNREAD;
                return 0;
        }
        if (as_long && in_place && mark[0])
                *ret = MODELFIT_SAME;
        else
                *ret = as_long && (mark[0] ? strcmp(mark, ret_mark) == 0 : as_old) ? MODELFIT_COPY
                                                                                   : MODELFIT_OTHER;
        return 0;
}
