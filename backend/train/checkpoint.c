#include "train/checkpoint.h"
#include "model/safetensors.h"
#include "train/weights.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH_LEN = 4096, VALUE_LEN = 160 };
enum which { LAST, BEFORE_LAST, KEPT };

/* Metadata that say how far a job is; the sum is over them, too. */
enum value { STEP, WINDOW, EPOCH, STOPPING, BEST, VALUES };
static const char *const keys[VALUES] = {"step", "window", "epoch", "stopping", "best"};
static const char best_prefix[] = "best.";

static void path_of(char *out, const char *dir, enum which which)
{
        snprintf(out, PATH_LEN, "%s/checkpoint%s.safetensors", dir, which == LAST ? "" : ".before");
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

/* Whether the best weights are others than the network's. */
static bool has_best(const struct checkpoint *c, const struct progress *p)
{
        return c->best && p->best.step && p->best.step != p->step;
}

static void best_tensors(const struct checkpoint *c, int64_t *counters, struct safetensors_tensor *ret)
{
        weights_tensors(c->net, c->best, counters, ret);
        for (int i = 0; i < c->net->num_params; i++)
                snprintf(ret[i].name, sizeof ret[i].name, "%s%s", best_prefix, c->net->params[i].name);
}

/* All but the best ones. */
static int count_last(const struct checkpoint *c)
{
        const char *names[OPTIMIZER_MAX_STATES];
        return c->net->num_params + optimizer_states(c->optimizer, names) * count_trained(c->net);
}

static int count_tensors(const struct checkpoint *c, const struct progress *p)
{
        return count_last(c) + (has_best(c, p) ? c->net->num_params : 0);
}

/* Any change of one word changes it: each step is one to one in both. */
static uint64_t mix(uint64_t sum, const void *bytes, size_t len)
{
        for (size_t i = 0; i < len; i += sizeof sum) {
                uint64_t word = 0;
                memcpy(&word, (const char *)bytes + i, len - i < sizeof word ? len - i : sizeof word);
                sum = (sum ^ word) * 0x9E3779B97F4A7C15U;
                sum ^= sum >> 32;
        }
        return sum;
}

/* How many values one of that version has. */
static int values_of(int version)
{
        return version > CHECKPOINT_VERSION_WITHOUT_BEST ? VALUES : BEST;
}

static uint64_t sum_of(
        int version, const struct safetensors_tensor *tensors, int count, const char *const values[VALUES])
{
        uint64_t sum = (uint64_t)version;
        for (int i = 0; i < values_of(version); i++)
                sum = mix(sum, values[i], strlen(values[i]) + 1);
        for (int i = 0; i < count; i++)
                sum = mix(sum, tensors[i].data, tensors[i].bytes);
        return sum;
}

/* All of a checkpoint's numbers, in one order. */
struct numbers {
        struct safetensors_tensor *tensors; /* owned, as the counters */
        int64_t *counters;
        int count;
};

static void numbers_finish(struct numbers *n)
{
        free(n->tensors);
        free(n->counters);
}

static int numbers_init(
        struct numbers *n, const struct checkpoint *c, const struct progress *p, struct err *e)
{
        const size_t params = (size_t)c->net->num_params;
        *n = (struct numbers){.count = count_tensors(c, p)};
        n->tensors = calloc((size_t)n->count, sizeof *n->tensors);
        n->counters = malloc(2 * params * sizeof *n->counters);
        if (!n->tensors || !n->counters) {
                numbers_finish(n);
                return err_set(e, ERR_NO_MEMORY, "no memory for a checkpoint");
        }
        weights_tensors(c->net, c->block, n->counters, n->tensors);
        state_tensors(c, n->tensors, n->tensors + params);
        if (has_best(c, p))
                best_tensors(c, n->counters + params, n->tensors + count_last(c));
        return 0;
}

/* At each moment one that is whole stands in its place. Where the file system has no links there is no second
   one. */
static int write_last(const char *dir, const struct numbers *n, const char *const *metadata, struct err *e)
{
        char last[PATH_LEN], before[PATH_LEN];
        path_of(last, dir, LAST);
        path_of(before, dir, BEFORE_LAST);
        unlink(before);
        const bool kept = link(last, before) == 0;
        int rc = safetensors_write(last, n->tensors, n->count, metadata, e);
        if (rc == ERR_DISK && kept && unlink(before) == 0) /* it may have been the room that was wanted */
                rc = safetensors_write(last, n->tensors, n->count, metadata, e);
        return rc;
}

int checkpoint_write(const char *dir, const struct checkpoint *c, const struct progress *p, struct err *e)
{
        char version[16], sum[20], text[VALUES][VALUE_LEN];
        const char *const values[VALUES] = {
                text[STEP], text[WINDOW], text[EPOCH], text[STOPPING], text[BEST]};
        const double *best = p->best.metrics;
        const int written = c->best ? CHECKPOINT_VERSION : CHECKPOINT_VERSION_WITHOUT_BEST;
        struct numbers n;
        int rc = numbers_init(&n, c, p, e);
        if (rc)
                return rc;
        snprintf(version, sizeof version, "%d", written);
        snprintf(text[STEP], VALUE_LEN, "%" PRId64, p->step);
        snprintf(text[WINDOW], VALUE_LEN, "%a %" PRId64 " %" PRId64, p->window.loss, p->window.correct,
                p->window.count);
        snprintf(text[EPOCH], VALUE_LEN, "%a %" PRId64 " %" PRId64, p->epoch.loss, p->epoch.correct,
                p->epoch.count);
        snprintf(text[STOPPING], VALUE_LEN, "%a %" PRId64 " %" PRId64, p->stopping.best, p->stopping.epochs,
                p->stopping.waited);
        snprintf(text[BEST], VALUE_LEN, "%" PRId64 " %a %a %a %a", p->best.step, best[0], best[1], best[2],
                best[3]);
        snprintf(sum, sizeof sum, "%016" PRIx64, sum_of(written, n.tensors, n.count, values));
        const char *metadata[2 * VALUES + 5] = {"checkpoint", version, "sum", sum};
        for (int i = 0; i < values_of(written); i++) {
                metadata[4 + 2 * i] = keys[i];
                metadata[5 + 2 * i] = values[i];
        }
        rc = write_last(dir, &n, metadata, e);
        numbers_finish(&n);
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

static bool parse_best(const struct safetensors *file, const struct progress *p, struct best *ret)
{
        double *m = ret->metrics;
        bool ok = sscanf(value_of(file, keys[BEST]), "%" SCNd64 " %la %la %la %la", &ret->step, &m[0], &m[1],
                          &m[2], &m[3]) == 1 + METRICS &&
                  ret->step >= 0 && ret->step <= p->step;
        for (int i = 0; i < METRICS; i++)
                ok = ok && isfinite(m[i]);
        return ok;
}

static int version_of(const struct safetensors *file)
{
        return atoi(value_of(file, "checkpoint"));
}

static int parse(const struct safetensors *file, struct progress *p, struct err *e)
{
        const int version = version_of(file);
        if (version > CHECKPOINT_VERSION || version < CHECKPOINT_VERSION_WITHOUT_SUM)
                return err_set(e, ERR_INVALID, "it is of version \"%.20s\", this build reads %d",
                        value_of(file, "checkpoint"), CHECKPOINT_VERSION);
        bool ok = sscanf(value_of(file, keys[STEP]), "%" SCNd64, &p->step) == 1 &&
                  sscanf(value_of(file, keys[WINDOW]), "%la %" SCNd64 " %" SCNd64, &p->window.loss,
                          &p->window.correct, &p->window.count) == 3 &&
                  sscanf(value_of(file, keys[EPOCH]), "%la %" SCNd64 " %" SCNd64, &p->epoch.loss,
                          &p->epoch.correct, &p->epoch.count) == 3 &&
                  sscanf(value_of(file, keys[STOPPING]), "%la %" SCNd64 " %" SCNd64, &p->stopping.best,
                          &p->stopping.epochs, &p->stopping.waited) == 3 &&
                  (version <= CHECKPOINT_VERSION_WITHOUT_BEST || parse_best(file, p, &p->best));
        return ok && plausible(p) ? 0 : err_set(e, ERR_SYNTAX, "what it says of its progress cannot be");
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

static int read_tensors(
        const struct checkpoint *c, const struct safetensors *file, const struct progress *p, struct err *e)
{
        if (file->count != count_tensors(c, p))
                return err_set(e, ERR_INVALID, "%d tensors, %d expected", file->count, count_tensors(c, p));
        int rc = weights_read(c->net, file, "", c->block, e);
        if (rc == 0)
                rc = read_state(c, file, e);
        if (rc == 0 && has_best(c, p))
                rc = weights_read(c->net, file, best_prefix, c->best, e);
        else if (rc == 0 && c->best)
                memcpy(c->best, c->block, c->net->param_floats * sizeof *c->best);
        return rc;
}

/* Of what was read into `c`. */
static int check_sum(
        const struct checkpoint *c, const struct safetensors *file, const struct progress *p, struct err *e)
{
        const int version = version_of(file);
        const char *want = value_of(file, "sum"), *values[VALUES];
        char sum[20];
        struct numbers n;
        if (!*want && version == CHECKPOINT_VERSION_WITHOUT_SUM)
                return 0;
        for (int i = 0; i < VALUES; i++)
                values[i] = value_of(file, keys[i]);
        int rc = numbers_init(&n, c, p, e);
        if (rc)
                return rc;
        snprintf(sum, sizeof sum, "%016" PRIx64, sum_of(version, n.tensors, n.count, values));
        numbers_finish(&n);
        return strcmp(sum, want) == 0 ? 0 : err_set(e, ERR_SYNTAX, "its sum is not that of its numbers");
}

static int read_file(const char *path, const struct checkpoint *c, struct progress *ret, struct err *e)
{
        struct safetensors *file;
        int rc = safetensors_open(path, &file, e);
        if (rc)
                return rc;
        rc = parse(file, ret, e);
        if (rc == 0)
                rc = read_tensors(c, file, ret, e);
        if (rc == 0)
                rc = check_sum(c, file, ret, e);
        safetensors_close(file);
        return rc;
}

/* In the place of what is no good: it would be kept as the one before the next. */
static void put_back(const char *dir)
{
        char last[PATH_LEN], before[PATH_LEN];
        path_of(last, dir, LAST);
        path_of(before, dir, BEFORE_LAST);
        (void)rename(before, last); /* else it stays where it is, and is found there again */
}

int checkpoint_read(const char *dir, const struct checkpoint *c, struct progress *ret, bool *ret_found,
        struct str *damage, struct err *e)
{
        static const char *const names[KEPT] = {"the last checkpoint", "the one before it"};
        struct err unread = {0};
        *ret_found = false;
        for (int i = LAST; i < KEPT; i++) {
                char path[PATH_LEN];
                struct progress p = {0};
                struct err why = {0};
                path_of(path, dir, (enum which)i);
                int rc = read_file(path, c, &p, &why);
                if (rc == ERR_NO_MEMORY || rc == ERR_UNAVAILABLE)
                        return err_set(e, rc, "checkpoint: %s", why.message);
                if (rc == ERR_IO)
                        unread = why;
                if (rc == 0) {
                        if (i == BEFORE_LAST) {
                                str_addf(damage, "%s: the job goes on from %s, of step %" PRId64,
                                        damage->len ? "" : "the last checkpoint is gone", names[i], p.step);
                                put_back(dir);
                        }
                        *ret = p;
                        *ret_found = true;
                        return 0;
                }
                if (rc != ERR_NOT_FOUND)
                        str_addf(damage, "%s%s is damaged (%s)", damage->len ? ", " : "", names[i],
                                why.message);
        }
        return unread.code ? err_set(e, unread.code, "checkpoint: %s", unread.message) : 0;
}
