#include "train/checkpoint.h"
#include "model/safetensors.h"
#include "train/weights.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_LEN = 4096, VALUE_LEN = 160 };

static void path_of(char *out, const char *dir)
{
        snprintf(out, PATH_LEN, "%s/checkpoint.safetensors", dir);
}

int checkpoint_write(const char *dir, const struct net *net, const float *block, const struct progress *p,
        struct err *e)
{
        char path[PATH_LEN], version[16], step[32], window[VALUE_LEN], epoch[VALUE_LEN];
        struct safetensors_tensor *tensors = malloc((size_t)net->num_params * sizeof *tensors);
        int64_t *counters = malloc((size_t)net->num_params * sizeof *counters);
        int rc = 0;
        if (!tensors || !counters) {
                rc = err_set(e, ERR_NO_MEMORY, "no memory for a checkpoint");
                goto out;
        }
        weights_tensors(net, block, counters, tensors);
        path_of(path, dir);
        snprintf(version, sizeof version, "%d", CHECKPOINT_VERSION);
        snprintf(step, sizeof step, "%" PRId64, p->step);
        snprintf(window, sizeof window, "%a %" PRId64 " %" PRId64, p->window.loss, p->window.correct, p->window.count);
        snprintf(epoch, sizeof epoch, "%a %" PRId64 " %" PRId64, p->epoch.loss, p->epoch.correct, p->epoch.count);
        const char *metadata[] = {
                "checkpoint", version, "step", step, "window", window, "epoch", epoch, NULL};
        rc = safetensors_write(path, tensors, net->num_params, metadata, e);
out:
        free(tensors);
        free(counters);
        return rc;
}

static const char *value_of(const struct safetensors *file, const char *key)
{
        const char *value = safetensors_metadata(file, key);
        return value ? value : "";
}

static int parse(const struct safetensors *file, struct progress *p, struct err *e)
{
        if (atoi(value_of(file, "checkpoint")) != CHECKPOINT_VERSION)
                return err_set(e, ERR_INVALID, "the checkpoint is of version \"%.20s\", this build reads %d",
                        value_of(file, "checkpoint"), CHECKPOINT_VERSION);
        bool ok = sscanf(value_of(file, "step"), "%" SCNd64, &p->step) == 1 && p->step >= 0 &&
                  sscanf(value_of(file, "window"), "%la %" SCNd64 " %" SCNd64, &p->window.loss, &p->window.correct,
                          &p->window.count) == 3 &&
                  sscanf(value_of(file, "epoch"), "%la %" SCNd64 " %" SCNd64, &p->epoch.loss, &p->epoch.correct,
                          &p->epoch.count) == 3;
        return ok ? 0 : err_set(e, ERR_SYNTAX, "the checkpoint's progress is damaged");
}

int checkpoint_read(const char *dir, const struct net *net, float *block, struct progress *ret, bool *ret_found,
        struct err *e)
{
        char path[PATH_LEN];
        struct safetensors *file;
        struct progress p = {0};
        struct err why = {0};
        path_of(path, dir);
        int rc = safetensors_open(path, &file, &why);
        if (rc == ERR_NOT_FOUND) {
                *ret_found = false;
                return 0;
        }
        if (rc == 0) {
                rc = parse(file, &p, &why);
                if (rc == 0)
                        rc = weights_load(net, file, true, block, &why);
                safetensors_close(file);
        }
        if (rc) {
                if (e)
                        *e = why;
                return err_wrap(e, "checkpoint");
        }
        *ret = p;
        *ret_found = true;
        return 0;
}
