#include "train/checkpoint.h"
#include "model/safetensors.h"
#include "train/weights.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_LEN = 4096, VALUE_LEN = 160 };

static void path_of(char *out, const char *dir)
{
        snprintf(out, PATH_LEN, "%s/checkpoint.safetensors", dir);
}

static int count_trained(const struct net *net)
{
        int count = 0;
        for (int i = 0; i < net->num_params; i++)
                count += net->params[i].trained;
        return count;
}

static void state_name(char out[SAFETENSORS_NAME_MAX + 1], const char *state, const struct net_param *p)
{
        snprintf(out, SAFETENSORS_NAME_MAX + 1, "optimizer.%s.%s", state, p->name);
}

/* The optimizer's numbers, shaped as the parameters in `params` that they belong to. */
static void state_tensors(
        const struct checkpoint *c, const struct safetensors_tensor *params, struct safetensors_tensor *ret)
{
        const char *names[OPTIMIZER_MAX_STATES];
        int states = optimizer_states(c->optimizer, names);
        for (int k = 0; k < states; k++)
                for (int i = 0; i < c->net->num_params; i++) {
                        const struct net_param *p = &c->net->params[i];
                        if (!p->trained)
                                continue;
                        *ret = params[i];
                        state_name(ret->name, names[k], p);
                        ret->data = c->state + (uint64_t)k * c->net->trainable_floats + p->offset;
                        ret++;
                }
}

static int count_tensors(const struct checkpoint *c)
{
        const char *names[OPTIMIZER_MAX_STATES];
        return c->net->num_params + optimizer_states(c->optimizer, names) * count_trained(c->net);
}

int checkpoint_write(const char *dir, const struct checkpoint *c, const struct progress *p, struct err *e)
{
        char path[PATH_LEN], version[16], step[32], window[VALUE_LEN], epoch[VALUE_LEN], stopping[VALUE_LEN];
        const int count = count_tensors(c);
        struct safetensors_tensor *tensors = calloc((size_t)count, sizeof *tensors);
        int64_t *counters = malloc((size_t)c->net->num_params * sizeof *counters);
        int rc = 0;
        if (!tensors || !counters) {
                rc = err_set(e, ERR_NO_MEMORY, "no memory for a checkpoint");
                goto out;
        }
        weights_tensors(c->net, c->block, counters, tensors);
        state_tensors(c, tensors, tensors + c->net->num_params);
        path_of(path, dir);
        snprintf(version, sizeof version, "%d", CHECKPOINT_VERSION);
        snprintf(step, sizeof step, "%" PRId64, p->step);
        snprintf(window, sizeof window, "%a %" PRId64 " %" PRId64, p->window.loss, p->window.correct,
                p->window.count);
        snprintf(epoch, sizeof epoch, "%a %" PRId64 " %" PRId64, p->epoch.loss, p->epoch.correct,
                p->epoch.count);
        snprintf(stopping, sizeof stopping, "%a %" PRId64 " %" PRId64, p->stopping.best, p->stopping.epochs,
                p->stopping.waited);
        const char *metadata[] = {"checkpoint", version, "step", step, "window", window, "epoch", epoch,
                "stopping", stopping, NULL};
        rc = safetensors_write(path, tensors, count, metadata, e);
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

/* What a run can have counted. */
static bool plausible(const struct progress *p)
{
        return p->step >= 0 && isfinite(p->window.loss) && isfinite(p->epoch.loss) &&
               isfinite(p->stopping.best) && p->window.correct >= 0 && p->window.correct <= p->window.count &&
               p->epoch.correct >= 0 && p->epoch.correct <= p->epoch.count && p->stopping.waited >= 0 &&
               p->stopping.waited <= p->stopping.epochs;
}

static int parse(const struct safetensors *file, struct progress *p, struct err *e)
{
        if (atoi(value_of(file, "checkpoint")) != CHECKPOINT_VERSION)
                return err_set(e, ERR_INVALID, "the checkpoint is of version \"%.20s\", this build reads %d",
                        value_of(file, "checkpoint"), CHECKPOINT_VERSION);
        bool ok = sscanf(value_of(file, "step"), "%" SCNd64, &p->step) == 1 &&
                  sscanf(value_of(file, "window"), "%la %" SCNd64 " %" SCNd64, &p->window.loss,
                          &p->window.correct, &p->window.count) == 3 &&
                  sscanf(value_of(file, "epoch"), "%la %" SCNd64 " %" SCNd64, &p->epoch.loss,
                          &p->epoch.correct, &p->epoch.count) == 3 &&
                  sscanf(value_of(file, "stopping"), "%la %" SCNd64 " %" SCNd64, &p->stopping.best,
                          &p->stopping.epochs, &p->stopping.waited) == 3;
        return ok && plausible(p) ? 0 : err_set(e, ERR_SYNTAX, "the checkpoint's progress is damaged");
}

static int read_state(const struct checkpoint *c, const struct safetensors *file, struct err *e)
{
        const char *names[OPTIMIZER_MAX_STATES];
        int states = optimizer_states(c->optimizer, names), rc = 0;
        for (int k = 0; k < states; k++)
                for (int i = 0; i < c->net->num_params && rc == 0; i++) {
                        const struct net_param *p = &c->net->params[i];
                        char name[SAFETENSORS_NAME_MAX + 1];
                        if (!p->trained)
                                continue;
                        state_name(name, names[k], p);
                        const struct safetensors_tensor *t = safetensors_find(file, name);
                        if (!t || !weights_same_shape(p, t))
                                return err_set(e, ERR_INVALID,
                                        "tensor \"%s\" is missing or has another shape", name);
                        float *to = c->state + (uint64_t)k * c->net->trainable_floats + p->offset;
                        rc = safetensors_read_f32(t, to, p->count, e);
                }
        return rc;
}

static int read_tensors(const struct checkpoint *c, const struct safetensors *file, struct err *e)
{
        if (file->count != count_tensors(c))
                return err_set(e, ERR_INVALID, "%d tensors, %d expected", file->count, count_tensors(c));
        int rc = weights_read(c->net, file, c->block, e);
        return rc ? rc : read_state(c, file, e);
}

int checkpoint_read(
        const char *dir, const struct checkpoint *c, struct progress *ret, bool *ret_found, struct err *e)
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
                        rc = read_tensors(c, file, &why);
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
