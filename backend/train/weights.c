#include "train/weights.h"
#include "base/philox.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Glorot, Bengio: Understanding the difficulty of training deep feedforward neural networks, 2010; He, Zhang,
   Ren, Sun: Delving deep into rectifiers, 2015. */
static float bound_of(const struct op_param *spec, enum init_kind kind)
{
        if (spec->init == OP_INIT_WEIGHT && kind == INIT_KAIMING_UNIFORM)
                return (float)sqrt(6.0 / spec->fan_in);
        if (spec->init == OP_INIT_WEIGHT)
                return (float)sqrt(6.0 / (spec->fan_in + spec->fan_out));
        return (float)(1.0 / sqrt(spec->fan_in));
}

/* Box and Muller: pairs of words give pairs of numbers. */
static float normal(const uint32_t words[4], uint64_t k, double std)
{
        double u = ((double)words[k % 4 / 2 * 2] + 1) * 0x1p-32,
               turn = 2 * acos(-1.0) * (double)words[k % 4 / 2 * 2 + 1] * 0x1p-32;
        double radius = std * sqrt(-2 * log(u));
        return (float)(radius * (k % 2 ? sin(turn) : cos(turn)));
}

static void draw(
        const struct net_param *p, uint32_t stream, const struct init_spec *how, uint64_t seed, float *w)
{
        bool is_normal = p->spec->init == OP_INIT_WEIGHT && how->kind == INIT_NORMAL;
        float bound = bound_of(p->spec, how->kind);
        uint32_t words[4] = {0};
        for (uint64_t k = 0; k < p->count; k++) {
                if (k % 4 == 0)
                        philox(seed, PHILOX_INIT, stream, k / 4, words);
                w[k] = is_normal ? normal(words, k, how->std)
                                 : (2.0f * philox_uniform(words[k % 4]) - 1.0f) * bound;
        }
}

void weights_init(const struct net *net, const struct init_spec *how, uint64_t seed, float *block)
{
        memset(block, 0, net->param_floats * sizeof *block);
        for (int i = 0; i < net->num_params; i++) {
                const struct net_param *p = &net->params[i];
                float *w = block + p->offset;
                if (p->spec->init == OP_INIT_WEIGHT || p->spec->init == OP_INIT_BIAS)
                        draw(p, (uint32_t)i, how, seed, w);
                else
                        for (uint64_t k = 0; k < p->count; k++)
                                w[k] = p->spec->init == OP_INIT_ONE ? 1.0f : 0.0f;
        }
}

bool weights_same_shape(const struct net_param *p, const struct safetensors_tensor *t)
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

static void add_side(struct str *out, int64_t side)
{
        str_addf(out, out->len ? "x%lld" : "%lld", (long long)side);
}

/* "30x64" of a tensor, and of a parameter. */
static void add_shape(struct str *out, const struct safetensors_tensor *t)
{
        for (int i = 0; i < t->ndim; i++)
                add_side(out, t->dims[i]);
        if (t->ndim == 0)
                str_add(out, "a single number");
}

static void add_wanted(struct str *out, const struct net_param *p)
{
        for (int i = 0; i < p->spec->ndim && !p->spec->counter; i++)
                add_side(out, p->spec->dims[i]);
        if (!out->len)
                str_add(out, "a single whole number");
}

/* Names beside each other show a prefix that one of them has and the other has not. */
static void say_lacks(const char *name, const char *wants, const struct safetensors *from, struct err *e)
{
        const char *has = from->count ? from->tensors[0].name : NULL;
        err_set(e, ERR_INVALID, "tensor \"%s\" (%s) of the network is missing%s%.100s%s", name, wants,
                has ? "; the file's first is \"" : "", has ? has : "", has ? "\"" : "");
}

/* With the tensor of `from` that is called `name`. */
static int compare(const struct net_param *p, const struct safetensors *from, const char *name, struct err *e)
{
        const struct safetensors_tensor *t = safetensors_find(from, name);
        struct str has = {0}, wants = {0};
        if (t && weights_same_shape(p, t))
                return p->spec->counter || t->type <= SAFETENSORS_F64
                               ? 0
                               : err_set(e, ERR_INVALID, "tensor \"%s\" holds no floats", name);
        add_wanted(&wants, p);
        if (t)
                add_shape(&has, t);
        int rc = ERR_INVALID;
        if (has.failed || wants.failed)
                rc = err_set(e, ERR_NO_MEMORY, "no memory to compare tensors");
        else if (t)
                err_set(e, rc, "tensor \"%s\" is %s, the network's is %s", name, has.data, wants.data);
        else
                say_lacks(name, wants.data, from, e);
        str_free(&has);
        str_free(&wants);
        return rc;
}

int weights_compare(const struct net_param *p, const struct safetensors *from, struct err *e)
{
        return compare(p, from, p->name, e);
}

int weights_other(const struct safetensors_tensor *t, struct err *e)
{
        struct str has = {0};
        add_shape(&has, t);
        int rc = has.failed ? err_set(e, ERR_NO_MEMORY, "no memory to compare tensors")
                            : err_set(e, ERR_INVALID, "the network has no tensor \"%s\" (%s)", t->name,
                                      has.data);
        str_free(&has);
        return rc;
}

static int load_one(
        const struct net_param *p, const struct safetensors_tensor *t, float *block, struct err *e)
{
        if (!p->spec->counter)
                return safetensors_read_f32(t, block + p->offset, p->count, e);
        int64_t count;
        memcpy(&count, t->data, sizeof count);
        block[p->offset] = (float)count;
        return 0;
}

int weights_read(const struct net *net, const struct safetensors *from, const char *prefix, float *block,
        struct err *e)
{
        for (int i = 0; i < net->num_params; i++) {
                const struct net_param *p = &net->params[i];
                char name[SAFETENSORS_NAME_MAX + 1];
                snprintf(name, sizeof name, "%s%s", prefix, p->name);
                int rc = compare(p, from, name, e);
                if (rc == 0)
                        rc = load_one(p, safetensors_find(from, name), block, e);
                if (rc)
                        return rc;
        }
        return 0;
}

int weights_load(const struct net *net, const struct safetensors *from, float *block, struct err *e)
{
        int rc = weights_read(net, from, "", block, e);
        if (rc == 0 && from->count != net->num_params)
                rc = err_set(e, ERR_INVALID, "the file holds %d tensors, the network has %d", from->count,
                        net->num_params);
        return rc;
}

static void note_left(struct str *note, const struct net_param *p, bool found, int count)
{
        enum { LISTED = 16 };
        if (count < LISTED)
                str_addf(note, "%s%s%s",
                        count ? ", " : "not taken from the model, so begun afresh: ", p->name,
                        found ? " (another shape)" : "");
        else if (count == LISTED)
                str_add(note, " and more");
}

int weights_refuse_frozen(const struct net *net, const struct net_param *p, struct err *e)
{
        return err_at(e, ERR_INVALID, "/init/freeze",
                "layer \"%s\" cannot be frozen: the model has no \"%s\" of its shape",
                net->nodes[p->node].name, p->name);
}

int weights_fit(
        const struct net *net, const struct safetensors *from, float *block, struct str *note, struct err *e)
{
        int left = 0, taken = 0;
        for (int i = 0; i < net->num_params; i++) {
                const struct net_param *p = &net->params[i];
                const struct safetensors_tensor *t = safetensors_find(from, p->name);
                bool fits = t && weights_same_shape(p, t);
                if (!fits && net->nodes[p->node].frozen)
                        return weights_refuse_frozen(net, p, e);
                int rc = fits ? load_one(p, t, block, e) : 0;
                if (rc)
                        return rc;
                if (fits)
                        taken++;
                else
                        note_left(note, p, t != NULL, left++);
        }
        if (taken == 0)
                return err_set(e, ERR_INVALID, "the model has no tensor of this network");
        if (from->count > taken)
                str_addf(note, "%s%d of the model's %d tensors not used", left ? "; " : "",
                        from->count - taken, from->count);
        return 0;
}

void weights_shapes(const struct net *net, struct safetensors_tensor *ret)
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
                t->bytes = p->spec->counter ? sizeof(int64_t) : p->count * sizeof(float);
        }
}

void weights_tensors(
        const struct net *net, const float *block, int64_t *counters, struct safetensors_tensor *ret)
{
        weights_shapes(net, ret);
        for (int i = 0; i < net->num_params; i++) {
                const struct net_param *p = &net->params[i];
                counters[i] = p->spec->counter ? (int64_t)block[p->offset] : 0;
                ret[i].data = p->spec->counter ? (const void *)&counters[i] : block + p->offset;
        }
}
