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

int jobcore_place_model(struct jobs *js, int64_t id, char placed[REQUEST_NAME_MAX + 1], struct err *e)
{
        struct job_row row;
        int rc = jobrow_read(js->home.store, id, &row, e);
        if (rc)
                return rc;
        if (row.type == JOB_TRAIN && row.save_as[0]) {
                char *path = jobcore_path(js, id, "/model.safetensors");
                rc = path ? models_place(js->models, row.save_as, path, e)
                          : err_set(e, ERR_NO_MEMORY, "no memory for a path");
                free(path);
                if (rc == 0)
                        snprintf(placed, REQUEST_NAME_MAX + 1, "%s", row.save_as);
        }
        job_row_finish(&row);
        return rc;
}
