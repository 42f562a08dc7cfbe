#include "daemon/jobs/jobstrategies.h"

#include "base/json.h"
#include "ops/strategy.h"

#include <stdlib.h>
#include <string.h>

/* Whoever reads the row gives it to a worker again: nothing but strategies stands in it. */
static int check(const cJSON *json, struct err *e)
{
        struct strategies *s = strategies_create();
        int rc = s ? strategies_read_json(s, json, e) : err_set(e, ERR_NO_MEMORY, "no memory for strategies");
        strategies_destroy(s);
        return rc;
}

int jobstrategies_write(struct store *s, int64_t job, const cJSON *json, struct err *e)
{
        sqlite3_stmt *st;
        int rc = check(json, e);
        char *text = rc == 0 ? json_text(json) : NULL;
        if (rc == 0 && !text)
                rc = err_set(e, ERR_NO_MEMORY, "no memory for strategies");
        if (rc == 0)
                rc = store_prepare(
                        s, "INSERT OR REPLACE INTO strategies(job, variants) VALUES(?, ?)", &st, e);
        if (rc == 0) {
                store_bind_int(st, 1, job);
                store_bind_text(st, 2, text);
                rc = store_run(s, st, e);
        }
        free(text);
        return rc;
}

int jobstrategies_read(struct store *s, int64_t job, cJSON **ret, struct err *e)
{
        sqlite3_stmt *st;
        int rc = store_prepare(s, "SELECT variants FROM strategies WHERE job = ?", &st, e);
        if (rc)
                return rc;
        store_bind_int(st, 1, job);
        rc = store_step(s, st, e);
        if (rc == 0)
                *ret = NULL;
        if (rc <= 0)
                return rc;
        const char *text = store_text(st, 0);
        cJSON *json = json_parse(text, strlen(text), e);
        rc = store_done(s, st, json ? 0 : e->code, e);
        if (rc)
                cJSON_Delete(json);
        else
                *ret = json;
        return rc;
}

int jobstrategies_delete(struct store *s, int64_t job, struct err *e)
{
        sqlite3_stmt *st;
        int rc = store_prepare(s, "DELETE FROM strategies WHERE job = ?", &st, e);
        if (rc)
                return rc;
        store_bind_int(st, 1, job);
        return store_run(s, st, e);
}
