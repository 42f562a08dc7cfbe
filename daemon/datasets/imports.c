#include "daemon/datasets/imports.h"

#include "base/json.h"
#include "base/log.h"
#include "daemon/http/problem.h"
#include "daemon/common/wire.h"
#include "data/walk.h"
#include "train/request.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LOOK_MS = 500 /* whether the client is still there */ };

struct import {
        struct imports *home; /* borrowed */
        struct import *next;
        int id;
        char name[DATASET_NAME_MAX + 1];
        char *upload, *output; /* owned; files in STATE/tmp, removed with it */
        struct child *child;   /* NULL once it is killed or gone */
        int carry;             /* the output is on its way to another file system; 0: it is not */
        struct imports_caller caller;
        cJSON *progress;               /* owned */
        off_t bytes;                   /* of the upload */
        bool answered;                 /* the child has said that the output is whole */
        int skipped;                   /* files of text that it passed over, */
        char first[WALK_NAME_MAX + 1]; /* and one of them */
        cJSON *warnings;               /* owned; what else it said, NULL for nothing */
        struct err error;              /* what it said instead */
};

struct imports {
        const char *state_dir;
        struct children *kids;
        struct carries *carries;
        struct datasets *datasets;
        struct quota *quota;
        struct import *list;
        imports_hook hook; /* may be NULL */
        void *hook_ctx;
        int count, next_id;
};

struct imports *imports_create(const char *state_dir, struct children *kids, struct carries *carries,
        struct datasets *datasets, struct quota *quota)
{
        struct imports *is = calloc(1, sizeof *is);
        if (is)
                *is = (struct imports){.state_dir = state_dir,
                        .kids = kids,
                        .carries = carries,
                        .datasets = datasets,
                        .quota = quota};
        return is;
}

static void import_free(struct import *im)
{
        if (im->upload)
                unlink(im->upload);
        if (im->output)
                unlink(im->output);
        cJSON_Delete(im->progress);
        cJSON_Delete(im->warnings);
        free(im->upload);
        free(im->output);
        free(im);
}

void imports_destroy(struct imports *is)
{
        if (!is)
                return;
        while (is->list) {
                struct import *im = is->list;
                is->list = im->next;
                import_free(im);
        }
        free(is);
}

void imports_set_hook(struct imports *is, imports_hook hook, void *ctx)
{
        is->hook = hook;
        is->hook_ctx = ctx;
}

static void tell(const struct import *im, const char *event, const cJSON *data)
{
        if (im->home->hook && data)
                im->home->hook(im->home->hook_ctx, im->id, event, data);
}

/* Takes what the child told out of its message. */
static void keep_progress(struct import *im, cJSON *head)
{
        cJSON *progress = cJSON_DetachItemFromObjectCaseSensitive(head, "progress");
        if (!cJSON_IsObject(progress)) {
                cJSON_Delete(progress);
                return;
        }
        cJSON_AddNumberToObject(progress, "total_bytes", (double)im->bytes);
        cJSON_Delete(im->progress);
        im->progress = progress;
        tell(im, "progress", progress);
}

static void tell_end(const struct import *im, const cJSON *set, bool created, const struct err *e)
{
        cJSON *data = cJSON_CreateObject();
        cJSON_AddStringToObject(data, "state",
                !e                         ? "succeeded"
                : e->code == ERR_CANCELLED ? "cancelled"
                                           : "failed");
        if (e) {
                cJSON_AddNumberToObject(data, "status", problem_status(e->code));
                cJSON_AddStringToObject(data, "error", e->message);
        } else {
                cJSON_AddBoolToObject(data, "created", created);
                json_add(data, "dataset", cJSON_Duplicate(set, true));
        }
        tell(im, "end", data);
        cJSON_Delete(data);
}

static void keep_skipped(struct import *im, const cJSON *skipped)
{
        int64_t count = wire_int(skipped, "count");
        if (count < 1 || count > INT32_MAX)
                return;
        im->skipped = (int)count;
        snprintf(im->first, sizeof im->first, "%s", wire_text(skipped, "first"));
}

static int child_message(void *ctx, struct child *c, struct chan_message *m)
{
        struct import *im = ctx;
        const cJSON *error = json_field(m->head, "error"), *op = json_field(m->head, "op");
        (void)c;
        if (im->error.code) /* stopped */
                return 0;
        if (error)
                (void)wire_error_read(error, &im->error);
        else if (cJSON_IsString(op) && strcmp(op->valuestring, "imported") == 0) {
                im->answered = true;
                keep_skipped(im, json_field(m->head, "skipped"));
                cJSON_Delete(im->warnings);
                im->warnings = cJSON_DetachItemFromObjectCaseSensitive(m->head, "warnings");
        } else
                keep_progress(im, m->head);
        return 0;
}

/* What has to hold before an import and after it. */
static int may_replace(
        struct imports *is, const struct imports_caller *caller, const char *name, struct err *e)
{
        int rc = datasets_may_replace(is->datasets, &caller->who, name, e);
        return rc ? rc : caller->free(caller->free_ctx, name, e);
}

/* What whoever sent it should know, into the answer. */
static void add_warnings(const struct import *im, cJSON *set)
{
        const struct dataset *d = NULL;
        struct err unused;
        struct str gaps = {0}, skipped = {0};
        cJSON *list = cJSON_AddArrayToObject(set, "warnings");
        const cJSON *warning;
        cJSON_AddNumberToObject(set, "skipped", im->skipped);
        if (im->skipped) {
                str_addf(&skipped, "skipped, not an image: %s", im->first);
                if (im->skipped > 1)
                        str_addf(&skipped, " and %d more", im->skipped - 1);
        }
        if (datasets_find(im->home->datasets, im->name, &d, &unused) == 0)
                dataset_gaps(d, &gaps);
        if (skipped.len)
                json_push(list, cJSON_CreateString(skipped.data));
        cJSON_ArrayForEach(warning, im->warnings)
        {
                if (cJSON_IsString(warning))
                        json_push(list, cJSON_CreateString(warning->valuestring));
        }
        if (gaps.len)
                json_push(list, cJSON_CreateString(gaps.data));
        str_free(&gaps);
        str_free(&skipped);
}

/* Puts the result in its place. */
static int adopt(struct import *im, cJSON **ret, bool *ret_created, struct err *e)
{
        struct imports *is = im->home;
        struct stat st;
        int rc = may_replace(is, &im->caller, im->name, e);
        if (rc == 0 && stat(im->output, &st) != 0)
                rc = err_errno(e, errno, "%s", im->output);
        if (rc == 0)
                rc = quota_dataset(is->quota, &im->caller.who, im->name, st.st_size, e);
        if (rc == 0)
                rc = datasets_adopt(is->datasets, im->name, im->output, &im->caller.who, ret_created, e);
        if (rc == 0)
                rc = datasets_get(is->datasets, im->name, ret, e);
        if (rc == 0)
                add_warnings(im, *ret);
        return rc;
}

static void end(struct import *im)
{
        struct err e = im->error;
        cJSON *set = NULL;
        bool created = false;
        int rc = e.code;
        if (rc == 0)
                rc = adopt(im, &set, &created, &e);
        /* Who asked for events got 200 with the first of them. */
        if (rc == 0)
                log_line(LOG_INFO, "data set %s imported", im->name);
        else if (rc != ERR_CANCELLED) /* of those imports_stop told */
                log_line(LOG_INFO, "the import of data set %s failed status=%d user=%s", im->name,
                        problem_status(rc), im->caller.who.user);
        for (struct import **place = &im->home->list; *place; place = &(*place)->next)
                if (*place == im) {
                        *place = im->next;
                        break;
                }
        im->home->count--;
        tell_end(im, set, created, rc ? &e : NULL);
        if (im->caller.done)
                im->caller.done(im->caller.ctx, set, created, rc ? &e : NULL);
        cJSON_Delete(set);
        import_free(im);
}

static void carried(void *ctx, char *path, const struct err *failed)
{
        struct import *im = ctx;
        im->carry = 0;
        if (path) {
                unlink(im->output);
                free(im->output);
                im->output = path;
        } else if (!im->error.code) {
                im->error = *failed;
        }
        end(im);
}

static void child_gone(void *ctx, struct child *c, int status, const char *why)
{
        struct import *im = ctx;
        char dir[PATH_MAX];
        (void)c;
        im->child = NULL;
        if (!im->error.code && (status != 0 || !im->answered)) {
                log_line(LOG_WARN, "the import of data set %s was %s", im->name, why);
                if (child_was_killed(status))
                        err_set(&im->error, ERR_UNAVAILABLE,
                                "the import was %s, and not by what was sent: try again", why);
                else
                        err_set(&im->error, ERR_INVALID, "the import was %s: the data could not be read",
                                why);
        }
        snprintf(dir, sizeof dir, "%s/datasets", im->home->state_dir);
        if (im->error.code || !carry_needed(im->output, dir) ||
                carry_begin(
                        im->home->carries, im->output, dir, im->name, carried, im, &im->carry, &im->error))
                end(im);
}

static int send_request(struct import *im, const cJSON *options, struct err *e)
{
        cJSON *head = cJSON_CreateObject();
        cJSON_AddStringToObject(head, "op", "import");
        cJSON_AddStringToObject(head, "upload", im->upload);
        cJSON_AddStringToObject(head, "output", im->output);
        cJSON_AddStringToObject(head, "name", im->name);
        json_add(head, "options", cJSON_Duplicate(options, true));
        int rc = child_send(im->child, head, NULL, 0, e);
        cJSON_Delete(head);
        return rc;
}

static int check(struct imports *is, const char *name, const struct imports_caller *caller, struct err *e)
{
        if (!request_name_ok(name))
                return err_at(e, ERR_INVALID, "/name",
                        "a data set's name is 1 to %d letters, digits, '.', '_' and '-', not first '.' or "
                        "'-'",
                        REQUEST_NAME_MAX);
        int own = 0;
        for (const struct import *im = is->list; im; im = im->next) {
                if (strcmp(im->name, name) == 0 && !im->error.code)
                        return err_set(e, ERR_STATE, "the data set '%s' is being imported", name);
                own += strcmp(im->caller.who.user, caller->who.user) == 0;
        }
        if (own >= IMPORTS_SHARE && !caller->who.operator)
                return err_set(e, ERR_QUOTA, "an import of yours is running; try again when it has ended");
        if (is->count >= IMPORTS_MAX)
                return err_set(
                        e, ERR_UNAVAILABLE, "%d imports go on; try again when one has ended", is->count);
        return may_replace(is, caller, name, e);
}

/* Whatever the child says from now on, it ends with `why`. */
static void stop(struct import *im, const struct err *why)
{
        im->error = *why;
        if (im->child)
                child_kill(im->child);
        im->child = NULL;
        carry_stop(im->home->carries, im->carry);
}

int imports_start(struct imports *is, const char *name, const char *path, const cJSON *options,
        const struct imports_caller *caller, int *ret_id, struct err *e)
{
        struct stat st;
        const char *const args[] = {"--role", "import", "--state", is->state_dir, NULL};
        int rc = check(is, name, caller, e);
        struct import *im = rc ? NULL : calloc(1, sizeof *im);
        if (!im) {
                unlink(path);
                return rc ? rc : err_set(e, ERR_NO_MEMORY, "no memory for an import");
        }
        im->home = is;
        im->caller = *caller;
        im->id = ++is->next_id;
        im->bytes = stat(path, &st) == 0 ? st.st_size : 0;
        snprintf(im->name, sizeof im->name, "%s", name);
        im->upload = strdup(path);
        if (asprintf(&im->output, "%s/tmp/import-%d", is->state_dir, im->id) < 0)
                im->output = NULL;
        if (!im->upload || !im->output) {
                unlink(path);
                rc = err_set(e, ERR_NO_MEMORY, "no memory for an import");
        }
        const struct child_hooks hooks = {.ctx = im, .message = child_message, .gone = child_gone};
        if (rc == 0)
                rc = child_start(is->kids, args, &hooks, &im->child, e);
        if (rc) {
                import_free(im);
                return rc;
        }
        im->next = is->list;
        is->list = im;
        is->count++;
        struct err why;
        if (send_request(im, options, &why))
                stop(im, &why); /* child_gone answers */
        *ret_id = im->id;
        return 0;
}

int imports_find(const struct imports *is, const struct identity *who, const char *name)
{
        for (const struct import *im = is->list; im; im = im->next)
                if (strcmp(im->name, name) == 0 && !im->error.code && identity_owns(who, im->caller.who.user))
                        return im->id;
        return 0;
}

static struct import *find(const struct imports *is, int id)
{
        for (struct import *im = is->list; im; im = im->next)
                if (im->id == id)
                        return im;
        return NULL;
}

const cJSON *imports_progress(const struct imports *is, int id)
{
        const struct import *im = find(is, id);
        return im ? im->progress : NULL;
}

void imports_stop(struct imports *is, int id, const char *why)
{
        struct import *im = find(is, id);
        struct err e;
        if (!im || im->error.code)
                return;
        log_line(LOG_INFO, "the import of data set %s is stopped: %s", im->name, why);
        err_set(&e, ERR_CANCELLED, "%s", why);
        stop(im, &e);
}

void imports_tick(struct imports *is)
{
        for (struct import *im = is->list; im; im = im->next)
                if (!im->error.code && (!im->answered || im->carry) && im->caller.gone &&
                        im->caller.gone(im->caller.ctx))
                        imports_stop(is, im->id, "the client left");
}

int imports_timeout_ms(const struct imports *is)
{
        return is->list ? LOOK_MS : -1;
}
