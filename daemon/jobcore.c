#include "daemon/jobcore.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

char *jobcore_path(const struct jobs *js, int64_t id, const char *file)
{
        char *path = NULL;
        return asprintf(&path, "%s/jobs/%lld%s", js->state_dir, (long long)id, file) < 0 ? NULL : path;
}

void jobcore_tidy(const struct jobs *js, int64_t id, enum job_state state)
{
        /* A failed job keeps its last good checkpoint. */
        static const char *const files[] = {"/init.safetensors", "/checkpoint.safetensors",
                "/checkpoint.before.safetensors", "/model.safetensors"};
        if (state != JOB_SUCCEEDED && state != JOB_CANCELLED)
                return;
        for (size_t i = 0; i < (state == JOB_CANCELLED ? 4 : 3); i++) {
                char *path = jobcore_path(js, id, files[i]);
                if (path)
                        unlink(path);
                free(path);
        }
}
