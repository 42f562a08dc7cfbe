#include "daemon/role.h"

#include "base/chan.h"
#include "base/json.h"
#include "base/log.h"
#include "daemon/store/twin.h"
#include "daemon/common/children.h"
#include "daemon/datasets/datasets.h"
#include "daemon/decoder/decoder_role.h"
#include "daemon/devices/drivercache.h"
#include "daemon/decoder/import_role.h"
#include "daemon/common/wire.h"
#include "daemon/worker/keeping.h"
#include "daemon/worker/worker.h"
#include "device/vendors.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

struct role_args {
        const char *role, *device, *uuid, *driver, *platform, *state, *name, *from, *to,
                *log; /* borrowed; "" where absent */
};

bool role_requested(int argc, char **argv)
{
        return argc > 1 && strcmp(argv[1], "--role") == 0;
}

/* The front alone writes these: pairs of an option and its value. */
static bool parse(int argc, char **argv, struct role_args *a)
{
        *a = (struct role_args){"", "", "", "", "", "", "", "", "", "info"};
        for (int i = 1; i < argc; i += 2) {
                const struct {
                        const char *option, **value;
                } known[] = {{"--role", &a->role}, {"--device", &a->device}, {"--uuid", &a->uuid},
                        {"--driver", &a->driver}, {"--platform", &a->platform}, {"--state", &a->state},
                        {"--name", &a->name}, {"--from", &a->from}, {"--to", &a->to}, {"--log", &a->log}};
                size_t k = 0, count = sizeof known / sizeof known[0];
                while (k < count && strcmp(known[k].option, argv[i]) != 0)
                        k++;
                if (k == count || i + 1 >= argc)
                        return false;
                *known[k].value = argv[i + 1];
        }
        return true;
}

/* Sends {"op":`op`, `key`:value} and frees value. */
static int answer(const char *op, const char *key, cJSON *value, struct err *e)
{
        cJSON *head = cJSON_CreateObject();
        cJSON_AddStringToObject(head, "op", op);
        json_add(head, key, value);
        int rc = chan_send(CHILD_FD, head, NULL, 0, e);
        cJSON_Delete(head);
        return rc;
}

/* Of all OpenCL drivers the one that the front names, under its number: that of a device, too. */
static int choose_driver(const struct role_args *a, struct err *e)
{
        char *folder = NULL;
        if (!a->driver[0])
                return 0;
        if (asprintf(&folder, "%s/cache/vendors", a->state) < 0)
                return err_set(e, ERR_NO_MEMORY, "no memory for a path");
        int rc = vendors_use(folder, a->driver, atoi(a->platform[0] ? a->platform : a->device), e);
        free(folder);
        return rc;
}

static int probe(const struct role_args *a, struct err *e)
{
        struct dev_info *infos = NULL;
        int count = 0, rc = choose_driver(a, e);
        if (rc == 0)
                rc = drivercache_use(a->state, "probe", e);
        if (rc == 0)
                rc = dev_list(&infos, &count, e);
        if (rc == 0 && count == 0 && a->driver[0])
                rc = vendors_check(a->driver, e);
        if (rc)
                return rc;
        cJSON *list = cJSON_CreateArray();
        for (int i = 0; i < count; i++)
                json_push(list, wire_device_json(&infos[i]));
        free(infos);
        return answer("devices", "devices", list, e);
}

static int work(const struct role_args *a, struct err *e)
{
        int rc = choose_driver(a, e);
        return rc ? rc : worker_main(a->device, a->uuid, a->state, e);
}

static int compile(const struct role_args *a, struct err *e)
{
        int rc = choose_driver(a, e);
        return rc ? rc : worker_compile(a->device, a->state, e);
}

static int keep(const struct role_args *a, struct err *e)
{
        int rc = choose_driver(a, e);
        return rc ? rc : keeping_run(a->device, a->state, e);
}

static int decode(const struct role_args *a, struct err *e)
{
        char *uploads = NULL;
        if (asprintf(&uploads, "%s/tmp", a->state) < 0)
                return err_set(e, ERR_NO_MEMORY, "no memory for a path");
        int rc = decoder_role_run(uploads, e);
        free(uploads);
        return rc;
}

/* A known data set where it is named, else what somebody sent. */
static int import(const struct role_args *a, struct err *e)
{
        if (!a->name[0]) {
                char *uploads = NULL;
                if (asprintf(&uploads, "%s/tmp", a->state) < 0)
                        return err_set(e, ERR_NO_MEMORY, "no memory for a path");
                int done = import_role_run(uploads, e);
                free(uploads);
                return done;
        }
        int rc = datasets_import(a->state, a->name, e);
        return rc ? rc : answer("imported", "name", cJSON_CreateString(a->name), e);
}

int role_main(int argc, char **argv)
{
        struct role_args a;
        struct err e = {0};
        char title[32];
        if (!parse(argc, argv, &a)) {
                fprintf(stderr, "cnnd: --role is for cnnd itself\n");
                return 2;
        }
        /* A driver starts programs of its own, compilers say, which may outlive this process: none keeps the
           channel open, or the lock. */
        (void)fcntl(CHILD_FD, F_SETFD, FD_CLOEXEC);
        (void)fcntl(CHILD_LOCK_FD, F_SETFD, FD_CLOEXEC);
        /* The kernel calls a program by the file's name, here /proc/self/exe's. */
        snprintf(title, sizeof title, "cnnd-%s", a.role);
        prctl(PR_SET_NAME, title);
        snprintf(title, sizeof title, "%s%s%s", a.role, a.device[0] ? " " : "", a.device);
        int level = log_level_parse(a.log);
        log_init(level < 0 ? LOG_INFO : (enum log_level)level, title);
        int rc;
        if (strcmp(a.role, "probe") == 0)
                rc = probe(&a, &e);
        else if (strcmp(a.role, "worker") == 0)
                rc = work(&a, &e);
        else if (strcmp(a.role, "compiler") == 0)
                rc = compile(&a, &e);
        else if (strcmp(a.role, "keeper") == 0)
                rc = keep(&a, &e);
        else if (strcmp(a.role, "decoder") == 0)
                rc = decode(&a, &e);
        else if (strcmp(a.role, "import") == 0)
                rc = import(&a, &e);
        else if (strcmp(a.role, "carry") == 0)
                rc = twin_make(a.from, a.to, a.name, &e);
        else
                rc = err_set(&e, ERR_INVALID, "no role '%s'", a.role);
        if (rc) {
                struct err gone;
                const bool heard = answer("failed", "error", wire_error_json(&e), &gone) == 0;
                /* Decoders are started again and again: what the front hears it logs once. What a compiler
                   finds its worker finds as well; what a keeper cannot keep is compiled again. */
                if (strcmp(a.role, "compiler") == 0)
                        log_line(LOG_DEBUG, "%s", e.message);
                else if (strcmp(a.role, "keeper") == 0)
                        log_line(LOG_WARN, "%s", e.message);
                else if (!heard || strcmp(a.role, "decoder") != 0)
                        log_line(LOG_ERROR, "%s", e.message);
        }
        return rc ? 1 : 0;
}
