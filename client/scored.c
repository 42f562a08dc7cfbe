#include "client/scored.h"
#include "client/transfer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[SCORED_COLUMNS] = {[SCORED_LABELS] = "labels",
        [SCORED_PREDICTIONS] = "predictions",
        [SCORED_PROBABILITIES] = "probabilities",
        [SCORED_FILE] = "file",
        [SCORED_FRAME] = "frame",
        [SCORED_TILE] = "tile",
        [SCORED_FILES] = "files",
        [SCORED_CONFUSION] = "confusion"};

/* What the tree has; all else is passed over. */
static const char kept[] = "model dataset model_import dataset_import classes_by count accuracy classes "
                           "per_class macro weighted";

static int note_place(struct scored *r, uint64_t at, struct err *e)
{
        const size_t count = r->files / SCORED_STEP;
        if ((count & (count - 1)) == 0) { /* it has doubled */
                uint64_t *places = realloc(r->places, (count ? count * 2 : 1) * sizeof *places);
                if (!places)
                        return err_set(e, ERR_NO_MEMORY, "no memory for the names of files");
                r->places = places;
        }
        r->places[count] = at;
        return 0;
}

static int look_at_files(struct scored *r, struct pull *p, struct err *e)
{
        int rc = pull_enter(p, e);
        while (rc == 0 && (rc = pull_next(p, e)) > 0) {
                rc = pull_kind(p, e);
                if (rc > 0)
                        rc = r->files % SCORED_STEP ? 0 : note_place(r, pull_at(p), e);
                if (rc == 0)
                        rc = pull_skip(p, e);
                r->files++;
        }
        return rc;
}

static int twice(const char *key, struct err *e)
{
        return err_set(e, ERR_SYNTAX, "the key \"%.80s\" appears twice in one object", key);
}

static int look_at_member(struct scored *r, struct pull *p, const char *key, struct err *e)
{
        int k = 0;
        while (k < SCORED_COLUMNS && strcmp(names[k], key) != 0)
                k++;
        if (k == SCORED_COLUMNS && !json_listed(kept, key))
                return pull_skip(p, e);
        if (k < SCORED_COLUMNS ? r->at[k] != 0 : json_field(r->tree, key) != NULL)
                return twice(key, e);
        if (k < SCORED_COLUMNS) {
                const int kind = pull_kind(p, e);
                r->at[k] = pull_at(p); /* behind a key: never 0 */
                r->has[k] = kind == '[';
                return kind < 0                         ? kind
                       : k == SCORED_FILES && r->has[k] ? look_at_files(r, p, e)
                                                        : pull_skip(p, e);
        }
        cJSON *tree = NULL;
        const int rc = pull_tree(p, &tree, e);
        if (rc == 0)
                json_add(r->tree, key, tree);
        return rc;
}

/* All of it is looked at once. */
static int look(struct scored *r, struct err *e)
{
        struct str key = {0};
        struct pull p;
        pull_init(&p, r->file, 0);
        json_begin();
        r->tree = cJSON_CreateObject();
        int rc = pull_kind(&p, e);
        if (rc == '{') {
                rc = pull_enter(&p, e);
                while (rc == 0 && (rc = pull_next(&p, e)) > 0) {
                        rc = pull_key(&p, &key, e);
                        if (rc == 0)
                                rc = look_at_member(r, &p, key.data ? key.data : "", e);
                }
        } else if (rc > 0) {
                rc = pull_skip(&p, e);
        }
        if (rc == 0)
                rc = pull_end(&p, e);
        if (rc == 0 && (json_fell_short() || !r->tree))
                rc = err_set(e, ERR_NO_MEMORY, "no memory for a result");
        pull_finish(&p);
        str_free(&key);
        return rc;
}

int scored_fetch(struct fetch *h, int64_t job, struct scored *ret, int *ret_signal, struct err *e)
{
        char path[64];
        struct scored r = {0};
        struct fetch_request q = {.method = "GET", .path = path, .headers = {"Accept: application/json"}};
        snprintf(path, sizeof path, "/v1/jobs/%" PRId64 "/result", job);
        int rc = transfer_spool(h, &q, &r.file, ret_signal, e);
        if (rc == 0 && (rc = look(&r, e)) == ERR_SYNTAX)
                err_wrap(e, "what answers at %s is not cnnd", fetch_url(h));
        if (rc == 0)
                *ret = r;
        else
                scored_finish(&r);
        return rc;
}

void scored_finish(struct scored *r)
{
        path_close(r->file);
        cJSON_Delete(r->tree);
        free(r->places);
        *r = (struct scored){0};
}

int scored_open(const struct scored *r, enum scored_column column, struct scored_reader *ret, struct err *e)
{
        ret->more = r->has[column];
        pull_init(&ret->pull, r->file, r->at[column]);
        return ret->more ? pull_enter(&ret->pull, e) : 0;
}

int scored_next(struct scored_reader *in, struct err *e)
{
        const int rc = in->more ? pull_next(&in->pull, e) : 0;
        in->more = rc > 0;
        return rc;
}

void scored_close(struct scored_reader *in)
{
        pull_finish(&in->pull);
}
