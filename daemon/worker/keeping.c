#include "daemon/worker/keeping.h"

#include "base/json.h"
#include "daemon/common/children.h"
#include "daemon/common/wire.h"
#include "daemon/devices/drivercache.h"
#include "device/launch.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

/* A keeper that takes longer hangs, and ends by SIGALRM. */
enum { QUIET_MS = 60000, KEEPER_SECONDS = 1800, KEEPER_NICENESS = 19 };

int keeping_quiet_ms(void)
{
        const char *quiet_ms = getenv("CNND_TEST_QUIET_MS");
        return quiet_ms ? atoi(quiet_ms) : QUIET_MS;
}

int keeping_tell(struct dev *d, const struct voice *v, struct err *e)
{
        const char *file, *options;
        cJSON *programs = NULL;
        while (prog_unkept(d, &file, &options)) {
                cJSON *program = cJSON_CreateObject();
                json_add(program, "file", cJSON_CreateString(file));
                json_add(program, "options", cJSON_CreateString(options));
                programs = programs ? programs : cJSON_CreateArray();
                json_push(programs, program);
        }
        if (!programs)
                return 0;
        cJSON *head = voice_head("unkept", NULL, 0);
        json_add(head, "programs", programs);
        return voice_say(v, head, NULL, 0, e);
}

static int keep_all(struct dev *d, const cJSON *programs, struct err *e)
{
        const cJSON *program;
        int rc = 0;
        cJSON_ArrayForEach(program, programs)
        {
                const char *file, *options;
                if (rc == 0)
                        rc = wire_need_text(program, "file", &file, e);
                if (rc == 0)
                        rc = wire_need_text(program, "options", &options, e);
                if (rc == 0)
                        rc = prog_keep(d, file, options, e);
        }
        return rc;
}

int keeping_run(const char *device, const char *state_dir, struct err *e)
{
        struct dev *d = NULL;
        struct chan_message m = {0};
        char cache[PATH_MAX];
        snprintf(cache, sizeof cache, "%s/cache", state_dir);
        const struct dev_options options = {.cache_dir = cache};
        alarm(KEEPER_SECONDS);
        if (setpriority(PRIO_PROCESS, 0, KEEPER_NICENESS))
                return err_errno(e, errno, "a keeper cannot be made to wait for others");
        int rc = chan_receive(CHILD_FD, &m, e);
        if (rc == 0)
                rc = drivercache_use(state_dir, device, e);
        if (rc == 0)
                rc = dev_open(device, &options, &d, e);
        if (rc == 0)
                rc = keep_all(d, json_field(m.head, "programs"), e);
        dev_close(d);
        chan_message_finish(&m);
        return rc ? err_wrap(e, "what was compiled for device %s is not kept", device) : 0;
}
