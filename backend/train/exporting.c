#include "train/exporting.h"

#include "ops/batch_norm.h"
#include "ops/conv.h"
#include "ops/kinds.h"
#include "ops/layer_norm.h"
#include "ops/pool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { INPUTS = 5 * (NET_NAME_MAX + 32) };
/* Of constants: 16 MiB. */
enum { MOST_NUMBERS = 1 << 22 };

void exporting_invent(struct exporting *x, char ret[EXPORTING_NAME])
{
        snprintf(ret, EXPORTING_NAME, "made_%d", x->made++);
}

static struct exporting_edge *edge_of(struct exporting *x, int value)
{
        return &x->edges[value];
}

const char *exporting_result(struct exporting *x, const struct net_node *node, int rank)
{
        struct exporting_edge *out = edge_of(x, node->output);
        snprintf(out->name, sizeof out->name, "x%d", node->output);
        out->rank = rank;
        return out->name;
}

/* The name of the node's input, in this rank. */
static const char *input(struct exporting *x, const struct net_node *node, int rank)
{
        exporting_set_rank(x, node->inputs[0], rank);
        return edge_of(x, node->inputs[0])->name;
}

void exporting_simple(
        struct exporting *x, const char *type, const char *name, const char *inputs, const char *output)
{
        struct onnx_node n = onnx_begin(type, name, inputs, output);
        onnx_end(x->o, &n);
}

void exporting_set_rank(struct exporting *x, int value, int rank)
{
        struct exporting_edge *at = edge_of(x, value);
        struct exporting_edge made = {.rank = rank};
        char inputs[2 * EXPORTING_NAME + 1];
        if (at->rank == rank)
                return;
        exporting_invent(x, made.name);
        if (rank == 2) {
                exporting_simple(x, "Flatten", made.name, at->name, made.name);
        } else {
                const struct shape s = x->net->values[value].s;
                char shape[EXPORTING_NAME];
                exporting_invent(x, shape);
                onnx_longs(x->o, shape, (int[]){-1, s.c, s.h, s.w}, 4);
                snprintf(inputs, sizeof inputs, "%s %s", at->name, shape);
                exporting_simple(x, "Reshape", made.name, inputs, made.name);
        }
        *at = made;
}

/* "x weight bias …": the input and the node's first `count` parameters. */
static const char *with_params(
        const struct exporting *x, const struct net_node *node, const char *from, int count, char out[INPUTS])
{
        int n = snprintf(out, INPUTS, "%s", from);
        for (int i = 0; i < count; i++)
                n += snprintf(
                        out + n, (size_t)(INPUTS - n), " %s", x->net->params[node->first_param + i].name);
        return out;
}

static void pads(struct onnx_node *n, const int begin[2], const int end[2])
{
        onnx_ints(n, "pads", (int[]){begin[0], begin[1], end[0], end[1]}, 4);
}

static void conv2d(struct exporting *x, const struct net_node *node)
{
        const struct conv_args *a = node->op->args;
        char inputs[INPUTS];
        with_params(x, node, input(x, node, 4), node->op->num_params, inputs);
        struct onnx_node n = onnx_begin("Conv", node->name, inputs, exporting_result(x, node, 4));
        onnx_ints(&n, "kernel_shape", a->kernel_size, 2);
        onnx_ints(&n, "strides", a->stride, 2);
        pads(&n, a->padding, (int[]){conv_padding_end(node->op, 0), conv_padding_end(node->op, 1)});
        if (conv_is_dilated(a))
                onnx_ints(&n, "dilations", a->dilation, 2);
        onnx_int(&n, "group", a->groups);
        onnx_end(x->o, &n);
}

static void linear(struct exporting *x, const struct net_node *node)
{
        char inputs[INPUTS];
        with_params(x, node, input(x, node, 2), node->op->num_params, inputs);
        struct onnx_node n = onnx_begin("Gemm", node->name, inputs, exporting_result(x, node, 2));
        onnx_int(&n, "transB", 1);
        onnx_end(x->o, &n);
}

void exporting_floats(
        struct exporting *x, const int *dims, int ndim, const float *values, char ret[EXPORTING_NAME])
{
        int64_t count = 1;
        for (int i = 0; i < ndim; i++)
                count *= dims[i];
        exporting_invent(x, ret);
        x->numbers += count;
        if (x->rc == 0 && x->numbers > MOST_NUMBERS)
                x->rc = err_set(x->e, ERR_INVALID,
                        "the layers want %lld or more constants of an ONNX file, the most is %d",
                        (long long)x->numbers, MOST_NUMBERS);
        if (x->rc == 0)
                onnx_floats(x->o, ret, dims, ndim, values);
}

static void add_input(char inputs[INPUTS], const char *name)
{
        const size_t n = strlen(inputs);
        snprintf(inputs + n, INPUTS - n, " %s", name);
}

/* Ones, made where the file is read, for there may be many; adds their name to `inputs`. */
static void add_ones(struct exporting *x, const int *dims, int ndim, char inputs[INPUTS])
{
        char one[EXPORTING_NAME], shape[EXPORTING_NAME], all[EXPORTING_NAME], both[2 * EXPORTING_NAME + 1];
        exporting_floats(x, (int[]){1}, 1, (float[]){1}, one);
        exporting_invent(x, shape);
        exporting_invent(x, all);
        onnx_longs(x->o, shape, dims, ndim);
        snprintf(both, sizeof both, "%s %s", one, shape);
        exporting_simple(x, "Expand", all, both, all);
        add_input(inputs, all);
}

/* A number for each channel; adds their name. Some engines want such of a batch norm in the file itself. */
static void add_channels(struct exporting *x, int channels, float value, char inputs[INPUTS])
{
        char name[EXPORTING_NAME];
        float *values = malloc((size_t)channels * sizeof *values);
        if (!values) {
                x->rc = err_set(x->e, ERR_NO_MEMORY, "no memory for %d numbers", channels);
                return;
        }
        for (int i = 0; i < channels; i++)
                values[i] = value;
        exporting_floats(x, &channels, 1, values, name);
        free(values);
        add_input(inputs, name);
}

/* Of what is not done with the statistics, the mean is taken for 0 or the variance for 1. */
static void batch_norm(struct exporting *x, const struct net_node *node)
{
        const struct batch_norm_args *a = node->op->args;
        const struct exporting_edge *from = edge_of(x, node->inputs[0]);
        const int c = node->op->out.c, mean = a->affine ? BATCH_NORM_MEAN : 0;
        const bool divides = a->normalize != BATCH_NORM_MEAN_ONLY;
        const bool centres = a->normalize != BATCH_NORM_VARIANCE_ONLY;
        const struct {
                int param; /* -1: the number instead */
                float number;
        } parts[] = {{a->affine ? BATCH_NORM_WEIGHT : -1, 1}, {a->affine ? BATCH_NORM_BIAS : -1, 0},
                {centres ? mean : -1, 0}, {divides ? mean + 1 : -1, 1}};
        char inputs[INPUTS];
        with_params(x, node, from->name, 0, inputs);
        for (int i = 0; i < 4; i++) {
                if (parts[i].param >= 0)
                        add_input(inputs, x->net->params[node->first_param + parts[i].param].name);
                else
                        add_channels(x, c, parts[i].number, inputs);
        }
        struct onnx_node n =
                onnx_begin("BatchNormalization", node->name, inputs, exporting_result(x, node, from->rank));
        onnx_float(&n, "epsilon", divides ? (float)a->eps : 0);
        onnx_end(x->o, &n);
}

/* One number for the last dimension may be all that there is to normalise: of (N,C). */
static void layer_norm(struct exporting *x, const struct net_node *node)
{
        const struct layer_norm_args *a = node->op->args;
        const struct op_dims *d = &a->normalized_shape;
        const bool flat = node->op->in[0].h == 1 && node->op->in[0].w == 1 && d->count == 1;
        char inputs[INPUTS];
        with_params(x, node, input(x, node, flat ? 2 : 4), node->op->num_params, inputs);
        if (!a->elementwise_affine)
                add_ones(x, d->sizes, d->count, inputs);
        struct onnx_node n =
                onnx_begin("LayerNormalization", node->name, inputs, exporting_result(x, node, flat ? 2 : 4));
        onnx_int(&n, "axis", -d->count);
        onnx_float(&n, "epsilon", (float)a->eps);
        onnx_end(x->o, &n);
}

/* What windows reach beyond the input at its end. Unlike the padding it depends on how they lie, so that
   ceil_mode, which engines read in different ways, is not needed. */
static void reach(const struct op *op, const struct pool_args *a, int ret[2])
{
        const int in[2] = {op->in[0].h, op->in[0].w}, out[2] = {op->out.h, op->out.w};
        for (int i = 0; i < 2; i++) {
                const int end = (out[i] - 1) * a->stride[i] + a->kernel_size[i] - in[i] - a->padding[i];
                ret[i] = end > 0 ? end : 0;
        }
}

static struct onnx_node pool(const char *type, const struct net_node *node, const struct pool_args *a,
        const char *from, const char *to)
{
        struct onnx_node n = onnx_begin(type, node->name, from, to);
        onnx_ints(&n, "kernel_shape", a->kernel_size, 2);
        onnx_ints(&n, "strides", a->stride, 2);
        return n;
}

static void max_pool2d(struct exporting *x, const struct net_node *node)
{
        const struct pool_args *a = node->op->args;
        const char *from = input(x, node, 4);
        int end[2];
        reach(node->op, a, end);
        struct onnx_node n = pool("MaxPool", node, a, from, exporting_result(x, node, 4));
        pads(&n, a->padding, end);
        onnx_end(x->o, &n);
}

/* Zeros of the padding count where the layer says so, but never what a window of ceil_mode covers beyond
 * them. */
static void avg_pool2d(struct exporting *x, const struct net_node *node)
{
        const struct pool_args *a = node->op->args;
        const char *from = input(x, node, 4);
        char padded[EXPORTING_NAME], inputs[2 * EXPORTING_NAME + 1], amounts[EXPORTING_NAME];
        int end[2], begin[2] = {a->padding[0], a->padding[1]};
        reach(node->op, a, end);
        const bool beyond = end[0] > a->padding[0] || end[1] > a->padding[1];
        if (beyond && a->count_include_pad && (a->padding[0] || a->padding[1])) {
                const int *p = a->padding;
                exporting_invent(x, amounts);
                exporting_invent(x, padded);
                onnx_longs(x->o, amounts, (int[]){0, 0, p[0], p[1], 0, 0, p[0], p[1]}, 8);
                snprintf(inputs, sizeof inputs, "%s %s", from, amounts);
                exporting_simple(x, "Pad", padded, inputs, padded);
                from = padded;
                for (int i = 0; i < 2; i++) {
                        begin[i] = 0;
                        end[i] = end[i] > p[i] ? end[i] - p[i] : 0;
                }
        }
        struct onnx_node n = pool("AveragePool", node, a, from, exporting_result(x, node, 4));
        pads(&n, begin, end);
        onnx_int(&n, "count_include_pad", a->count_include_pad && !beyond);
        onnx_end(x->o, &n);
}

/* The means of an axis as a product with a matrix, whose line for a window holds 1/size within it: (out, in)
   for rows, (in, out) for columns. */
static void means(struct exporting *x, int in, int out, bool rows, char ret[EXPORTING_NAME])
{
        const bool many = (int64_t)in * out > MOST_NUMBERS;
        float *m = many ? NULL : calloc((size_t)in * (size_t)out, sizeof *m);
        if (!m) {
                x->rc = many ? err_set(x->e, ERR_INVALID,
                                       "%d windows of different sizes over %d pixels are too many for an "
                                       "ONNX file",
                                       out, in)
                             : err_set(x->e, ERR_NO_MEMORY, "no memory for %d numbers", in * out);
                exporting_invent(x, ret);
                return;
        }
        for (int o = 0; o < out; o++) {
                const int first = (int)((int64_t)o * in / out);
                const int end = (int)(((int64_t)(o + 1) * in + out - 1) / out);
                for (int i = first; i < end; i++)
                        m[rows ? (size_t)o * (size_t)in + (size_t)i : (size_t)i * (size_t)out + (size_t)o] =
                                1.0f / (float)(end - first);
        }
        exporting_floats(x, rows ? (int[]){out, in} : (int[]){in, out}, 2, m, ret);
        free(m);
}

/* Windows of different sizes: ONNX has no operator for them, but they are linear along rows and columns. */
static void uneven_pool(struct exporting *x, const struct net_node *node, const char *from)
{
        const struct shape in = node->op->in[0], out = node->op->out;
        char left[EXPORTING_NAME], right[EXPORTING_NAME], rows[EXPORTING_NAME],
                inputs[2 * EXPORTING_NAME + 1];
        means(x, in.h, out.h, true, left);
        means(x, in.w, out.w, false, right);
        exporting_invent(x, rows);
        snprintf(inputs, sizeof inputs, "%s %s", left, from);
        exporting_simple(x, "MatMul", rows, inputs, rows);
        snprintf(inputs, sizeof inputs, "%s %s", rows, right);
        exporting_simple(x, "MatMul", node->name, inputs, exporting_result(x, node, 4));
}

static void adaptive_avg_pool2d(struct exporting *x, const struct net_node *node)
{
        const struct shape in = node->op->in[0], out = node->op->out;
        const char *from = input(x, node, 4);
        if (in.h % out.h || in.w % out.w) {
                uneven_pool(x, node, from);
                return;
        }
        if (out.h == 1 && out.w == 1) {
                exporting_simple(x, "GlobalAveragePool", node->name, from, exporting_result(x, node, 4));
                return;
        }
        const int kh = in.h / out.h, kw = in.w / out.w;
        const struct pool_args a = {.kernel_size = {kh, kw}, .stride = {kh, kw}};
        struct onnx_node n = pool("AveragePool", node, &a, from, exporting_result(x, node, 4));
        onnx_end(x->o, &n);
}

static void add(struct exporting *x, const struct net_node *node)
{
        char inputs[2 * EXPORTING_NAME + 1], label[NET_NAME_MAX + 24];
        for (int i = 0; i < 2; i++)
                exporting_set_rank(x, node->inputs[i], 4);
        snprintf(inputs, sizeof inputs, "%s %s", edge_of(x, node->inputs[0])->name,
                edge_of(x, node->inputs[1])->name);
        snprintf(label, sizeof label, "%s:%d", node->name,
                node->output); /* a user's layer may have its name */
        exporting_simple(x, "Add", label, inputs, exporting_result(x, node, 4));
}

static void flatten(struct exporting *x, const struct net_node *node)
{
        const struct exporting_edge *from = edge_of(x, node->inputs[0]);
        exporting_simple(x, "Flatten", node->name, from->name, exporting_result(x, node, 2));
}

/* Its input under another number. */
static void nothing(struct exporting *x, const struct net_node *node)
{
        *edge_of(x, node->output) = *edge_of(x, node->inputs[0]);
}

static const struct {
        const struct op_kind *kind;
        void (*write)(struct exporting *x, const struct net_node *node);
} forms[] = {
        {&op_conv2d, conv2d},
        {&op_linear, linear},
        {&op_adaptive_avg_pool2d, adaptive_avg_pool2d},
        {&op_add, add},
        {&op_avg_pool2d, avg_pool2d},
        {&op_batch_norm, batch_norm},
        {&op_copy, nothing},
        {&op_dropout, nothing},
        {&op_flatten, flatten},
        {&op_gelu, exporting_gelu},
        {&op_layer_norm, layer_norm},
        {&op_leaky_relu, exporting_leaky_relu},
        {&op_max_pool2d, max_pool2d},
        {&op_relu, exporting_activation},
        {&op_relu6, exporting_relu6},
        {&op_sigmoid, exporting_activation},
        {&op_silu, exporting_silu},
        {&op_tanh, exporting_activation},
};

void exporting_layer(struct exporting *x, const struct net_node *node)
{
        for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++)
                if (forms[i].kind == node->op->kind) {
                        forms[i].write(x, node);
                        return;
                }
        x->rc = err_set(
                x->e, ERR_INVALID, "layer %s: %s has no form in ONNX", node->name, node->op->kind->type);
}

/* Whether `value` is a part of `whole` that was joined; a flattened view of it is none. */
static bool is_part(const struct net *net, int value, int whole)
{
        const struct net_value *v = &net->values[value];
        return v->parent == whole && !(v->producer >= 0 && net->nodes[v->producer].op->kind->view);
}

/* The part that begins at `channel`. */
static int part_at(const struct net *net, int whole, int channel)
{
        for (int v = 0; v < net->num_values; v++)
                if (is_part(net, v, whole) && net->values[v].channel == channel)
                        return v;
        return -1;
}

void exporting_join(struct exporting *x, int value)
{
        const struct net *net = x->net;
        const char *name = net->values[value].block;
        char label[NET_NAME_MAX + 24];
        struct str inputs = {0};
        struct exporting_edge *out = edge_of(x, value);
        for (int channel = 0; channel < net->values[value].s.c;) {
                const int part = part_at(net, value, channel);
                if (part < 0) {
                        x->rc = err_set(
                                x->e, ERR_INTERNAL, "layer %s: nothing gives its channel %d", name, channel);
                        break;
                }
                exporting_set_rank(x, part, 4);
                str_addf(&inputs, "%s%s", channel ? " " : "", edge_of(x, part)->name);
                channel += net->values[part].s.c;
        }
        snprintf(out->name, sizeof out->name, "x%d", value);
        snprintf(label, sizeof label, "%s:%d", name, value); /* a dense block makes several */
        out->rank = 4;
        struct onnx_node n = onnx_begin("Concat", label, inputs.failed ? "" : inputs.data, out->name);
        x->o->failed = x->o->failed || inputs.failed;
        onnx_int(&n, "axis", 1);
        onnx_end(x->o, &n);
        str_free(&inputs);
}
