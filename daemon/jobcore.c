#include "daemon/jobcore.h"

#include <stdio.h>
#include <stdlib.h>

int jobcore_place_model(
        struct jobs *js, int64_t id, char placed[REQUEST_NAME_MAX + 1], bool *ret_unplaced, struct err *e)
{
        struct job_row row;
        int rc = jobrow_read(js->home.store, id, &row, e);
        if (rc)
                return rc;
        if (row.type == JOB_TRAIN && row.save_as[0]) {
                char *path = jobfolder_path(js, id, "/model.safetensors");
                rc = path ? models_place(js->models, row.save_as, path, e)
                          : err_set(e, ERR_NO_MEMORY, "no memory for a path");
                free(path);
                *ret_unplaced = rc != 0;
                if (rc == 0)
                        snprintf(placed, REQUEST_NAME_MAX + 1, "%s", row.save_as);
        }
        job_row_finish(&row);
        return rc;
}
