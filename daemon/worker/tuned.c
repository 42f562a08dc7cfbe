#include "daemon/worker/tuned.h"

#include "base/file.h"
#include "base/log.h"
#include "base/str.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* By what the device is: its place moves when a driver is added. */
static int path_of(struct str *out, const char *state_dir, const struct dev_info *info, struct err *e)
{
        char name[sizeof info->platform + sizeof info->name];
        snprintf(name, sizeof name, "%.80s-%s", info->platform, info->name);
        for (char *c = name; *c; c++)
                if (!isalnum((unsigned char)*c) && *c != '-')
                        *c = '_';
        str_addf(out, "%s/tuning/%s.tune", state_dir, name);
        return out->failed ? err_set(e, ERR_NO_MEMORY, "no memory for a path") : 0;
}

static int head_of(struct str *out, const struct dev_info *info, struct err *e)
{
        str_addf(out, "# cnnd tuning %d\n# %s | %s | %s\n", STRATEGY_VERSION, info->name, info->driver,
                info->platform_version);
        return out->failed ? err_set(e, ERR_NO_MEMORY, "no memory for a tuning") : 0;
}

static int read_file(const char *path, const char *head, struct strategies *s, struct err *e)
{
        char *text;
        size_t len;
        int rc = file_read(path, &text, &len, e);
        if (rc)
                return rc;
        if (strncmp(text, head, strlen(head)) == 0)
                rc = strategies_read(s, text, e);
        else
                log_line(LOG_INFO,
                        "%s is of another device, driver or version: its layers are measured again", path);
        free(text);
        return rc;
}

/* Adds what was measured here alone. */
static int read_measured(
        const char *state_dir, const struct dev_info *info, struct strategies *s, struct err *e)
{
        struct str path = {0}, head = {0};
        struct err why = {0};
        int rc = path_of(&path, state_dir, info, e);
        if (rc == 0)
                rc = head_of(&head, info, e);
        if (rc == 0 && access(path.data, F_OK) == 0 && read_file(path.data, head.data, s, &why))
                log_line(LOG_WARN, "%s: %s: what it held is measured again", path.data, why.message);
        str_free(&path);
        str_free(&head);
        return rc;
}

int tuned_load(const char *state_dir, const struct dev_info *info, struct strategies **ret, struct err *e)
{
        struct strategies *s = strategies_create();
        if (!s)
                return err_set(e, ERR_NO_MEMORY, "no memory for strategies");
        int rc = strategies_shipped(s, info, e);
        if (rc == 0)
                rc = read_measured(state_dir, info, s, e);
        if (rc) {
                strategies_destroy(s);
                return rc;
        }
        *ret = s;
        return 0;
}

static int make_folder(const char *state_dir, struct err *e)
{
        struct str path = {0};
        str_addf(&path, "%s/tuning", state_dir);
        int rc = path.failed ? err_set(e, ERR_NO_MEMORY, "no memory for a path") : 0;
        if (rc == 0 && mkdir(path.data, 0700) != 0 && errno != EEXIST)
                rc = err_errno(e, errno, "%s", path.data);
        str_free(&path);
        return rc;
}

static int save(const char *path, const struct dev_info *info, const struct strategies *s, struct err *e)
{
        struct str text = {0};
        struct file_new *file = NULL;
        int rc = head_of(&text, info, e);
        if (rc == 0) {
                strategies_print(s, &text);
                rc = text.failed ? err_set(e, ERR_NO_MEMORY, "no memory for a tuning") : 0;
        }
        if (rc == 0)
                rc = file_create(path, &file, e);
        if (rc == 0)
                rc = file_write(file, text.data, text.len, e);
        if (rc == 0)
                rc = file_commit(file, e);
        else
                file_abandon(file);
        str_free(&text);
        return rc;
}

int tuned_add(
        const char *state_dir, const struct dev_info *info, const struct strategies *more, struct err *e)
{
        struct str path = {0};
        struct strategies *all = strategies_create();
        int rc = all ? make_folder(state_dir, e) : err_set(e, ERR_NO_MEMORY, "no memory for strategies");
        if (rc == 0)
                rc = read_measured(state_dir, info, all, e);
        if (rc == 0)
                rc = strategies_add(all, more, e);
        if (rc == 0)
                rc = path_of(&path, state_dir, info, e);
        if (rc == 0)
                rc = save(path.data, info, all, e);
        str_free(&path);
        strategies_destroy(all);
        return rc;
}

struct keeper {
        const char *state_dir;
        const struct dev_info *info;
        struct strategies *known;
};

static void keep(void *ctx, const struct strategies *measured)
{
        const struct keeper *k = ctx;
        struct err why = {0};
        if (tuned_add(k->state_dir, k->info, measured, &why) || strategies_add(k->known, measured, &why))
                log_line(
                        LOG_WARN, "what was measured of device %s is not kept: %s", k->info->id, why.message);
}

int tuned_train(const char *state_dir, struct dev *d, struct strategies *known, struct train_job *job,
        const cJSON *bound, const struct train_hooks *hooks, struct train_outcome *ret, struct err *e)
{
        struct keeper keeper = {state_dir, dev_info(d), known};
        const struct train_tuning tuning = {.known = known, .bound = bound, .measured = keep, .ctx = &keeper};
        int rc = read_measured(state_dir, dev_info(d), known, e); /* cnnd --tune may have come by */
        job->tuning = &tuning;
        if (rc == 0)
                rc = train_run(d, job, hooks, ret, e);
        job->tuning = NULL;
        return rc;
}
