#include "train/weights.h"
#include "base/philox.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Xavier: Glorot, Bengio: Understanding the difficulty of training deep feedforward neural networks, 2010. */
static float bound_of(const struct op_param *spec)
{
        if (spec->init == OP_INIT_WEIGHT)
                return (float)sqrt(6.0 / (spec->fan_in + spec->fan_out));
        return (float)(1.0 / sqrt(spec->fan_in));
}

void weights_init(const struct net *net, uint64_t seed, float *block)
{
        memset(block, 0, net->param_floats * sizeof *block);
        for (int i = 0; i < net->num_params; i++) {
                const struct net_param *p = &net->params[i];
                float *w = block + p->offset;
                bool drawn = p->spec->init == OP_INIT_WEIGHT || p->spec->init == OP_INIT_BIAS;
                float bound = drawn ? bound_of(p->spec) : 0.0f;
                uint32_t words[4] = {0};
                for (uint64_t k = 0; k < p->count; k++) {
                        if (drawn && k % 4 == 0)
                                philox(seed, PHILOX_INIT, (uint32_t)i, k / 4, words);
                        if (drawn)
                                w[k] = (2.0f * philox_uniform(words[k % 4]) - 1.0f) * bound;
                        else
                                w[k] = p->spec->init == OP_INIT_ONE ? 1.0f : 0.0f;
                }
        }
}

static bool same_shape(const struct net_param *p, const struct safetensors_tensor *t)
{
        if (p->spec->counter)
                return t->ndim == 0 && t->type == SAFETENSORS_I64;
        if (t->ndim != p->spec->ndim)
                return false;
        for (int i = 0; i < t->ndim; i++)
                if (t->dims[i] != p->spec->dims[i])
                        return false;
        return true;
}

static int load_one(const struct net_param *p, const struct safetensors_tensor *t, float *block, struct err *e)
{
        if (!same_shape(p, t))
                return err_set(e, ERR_INVALID, "tensor \"%s\" has another shape than the network's", p->name);
        if (!p->spec->counter)
                return safetensors_read_f32(t, block + p->offset, p->count, e);
        int64_t count;
        memcpy(&count, t->data, sizeof count);
        block[p->offset] = (float)count;
        return 0;
}

int weights_load(const struct net *net, const struct safetensors *from, bool strict, float *block, struct err *e)
{
        int found = 0;
        for (int i = 0; i < net->num_params; i++) {
                const struct net_param *p = &net->params[i];
                const struct safetensors_tensor *t = safetensors_find(from, p->name);
                if (!t && strict)
                        return err_set(e, ERR_INVALID, "tensor \"%s\" of the network is missing", p->name);
                int rc = t ? load_one(p, t, block, e) : 0;
                if (rc)
                        return rc;
                found += t != NULL;
        }
        if (strict && found != from->count)
                return err_set(e, ERR_INVALID, "the file holds %d tensors, the network has %d", from->count, found);
        if (found == 0)
                return err_set(e, ERR_INVALID, "the file holds no tensor of this network");
        return 0;
}

void weights_tensors(const struct net *net, const float *block, int64_t *counters, struct safetensors_tensor *ret)
{
        memset(ret, 0, (size_t)net->num_params * sizeof *ret);
        for (int i = 0; i < net->num_params; i++) {
                const struct net_param *p = &net->params[i];
                struct safetensors_tensor *t = &ret[i];
                snprintf(t->name, sizeof t->name, "%s", p->name);
                t->type = p->spec->counter ? SAFETENSORS_I64 : SAFETENSORS_F32;
                t->ndim = p->spec->counter ? 0 : p->spec->ndim;
                for (int k = 0; k < t->ndim; k++)
                        t->dims[k] = p->spec->dims[k];
                counters[i] = p->spec->counter ? (int64_t)block[p->offset] : 0;
                t->data = p->spec->counter ? (const void *)&counters[i] : block + p->offset;
                t->bytes = p->spec->counter ? sizeof(int64_t) : p->count * sizeof(float);
        }
}
