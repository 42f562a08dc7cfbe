/* Layers with tensors, and activations. */
#include "model/onnx_reading.h"

#include "base/json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* --- convolution --- */

static int read_pair(struct onnx_reading *r, const char *name, int most, int ret[2])
{
        int64_t v[2];
        const int n = onnx_op_ints(r->op, name, v, 2, r->e);
        if (n < 0 || n == 1)
                return onnx_refuse(r, "\"%s\" are not two numbers, as for images", name);
        for (int i = 0; i < n; i++) {
                if (v[i] < 1 || v[i] > most)
                        return onnx_refuse(r, "\"%s\" is not from 1 to %d", name, most);
                ret[i] = (int)v[i];
        }
        return 0;
}

/* PyTorch's and Keras's "same", for the output's size of the input's over the stride. */
static void pad_same(struct onnx_windows *w, const int in[2], bool upper)
{
        for (int i = 0; i < 2; i++) {
                const int out = (in[i] + w->stride[i] - 1) / w->stride[i];
                int all = (out - 1) * w->stride[i] + (w->kernel[i] - 1) * w->dilation[i] + 1 - in[i];
                all = all > 0 ? all : 0;
                w->begin[i] = upper ? all / 2 : all - all / 2;
                w->end[i] = all - w->begin[i];
        }
}

static int read_pads(struct onnx_reading *r, struct onnx_windows *w)
{
        enum { MOST = 512 };
        int64_t v[4] = {0};
        const int n = onnx_op_ints(r->op, "pads", v, 4, r->e);
        if (n < 0 || (n && n != 4))
                return onnx_refuse(r, "\"pads\" are not four numbers, as for images");
        for (int i = 0; i < n; i++) {
                if (v[i] < 0 || v[i] > MOST)
                        return onnx_refuse(r, "\"pads\" are not from 0 to %d", MOST);
                *(i < 2 ? &w->begin[i] : &w->end[i - 2]) = (int)v[i];
        }
        return 0;
}

int onnx_read_windows(struct onnx_reading *r, const struct onnx_edge *from, struct onnx_windows *ret)
{
        enum { MOST = 1024 };
        const struct onnx_value *v = &r->values[from->value];
        const struct protobuf automatic = onnx_op_text(r->op, "auto_pad");
        const bool upper = protobuf_is(automatic, "SAME_UPPER");
        for (int i = 0; i < 2; i++) {
                ret->stride[i] = ret->dilation[i] = 1;
                ret->begin[i] = ret->end[i] = 0;
        }
        int rc = read_pair(r, "kernel_shape", MOST, ret->kernel);
        if (rc == 0)
                rc = read_pair(r, "strides", MOST, ret->stride);
        if (rc == 0)
                rc = read_pair(r, "dilations", MOST, ret->dilation);
        if (rc == 0)
                rc = read_pads(r, ret);
        if (rc)
                return rc;
        if (ret->kernel[0] < 1 || ret->kernel[1] < 1 || ret->kernel[0] > MOST || ret->kernel[1] > MOST)
                return onnx_refuse(r, "\"kernel_shape\" is not from 1 to %d", MOST);
        if (upper || protobuf_is(automatic, "SAME_LOWER"))
                pad_same(ret,
                        (const int[2]){
                                v->h + from->pad[0] + from->pad[2], v->w + from->pad[1] + from->pad[3]},
                        upper);
        return 0;
}

/* Rows or columns from the first tap to the last. */
static int reach(const struct onnx_windows *w, int axis)
{
        return (w->kernel[axis] - 1) * w->dilation[axis];
}

/* Whether the padding is what the layer here calls so, and what no number says. */
static bool is_same(const struct onnx_windows *w)
{
        for (int i = 0; i < 2; i++)
                if (w->stride[i] != 1 || w->begin[i] != reach(w, i) / 2 ||
                        w->begin[i] + w->end[i] != reach(w, i))
                        return false;
        return w->begin[0] != w->end[0] || w->begin[1] != w->end[1];
}

/* Where the padding differs from side to side otherwise, lines of zeros before or behind the kernel make it
   alike: (O,I,h,w) becomes (O,I,H,W). */
static float *widen(
        const float *from, int64_t planes, const int small[2], const int large[2], const int at[2])
{
        float *to = calloc((size_t)planes * (size_t)large[0] * (size_t)large[1] + 1, sizeof *to);
        for (int64_t p = 0; to && p < planes; p++)
                for (int y = 0; y < small[0]; y++)
                        memcpy(to + (p * large[0] + y + at[0]) * large[1] + at[1],
                                from + (p * small[0] + y) * small[1], (size_t)small[1] * sizeof *to);
        return to;
}

static int conv_weight(struct onnx_reading *r, struct onnx_step *s, const struct onnx_tensor *t,
        const struct onnx_windows *w, const int large[2], const int at[2])
{
        const int64_t dims[4] = {t->dims[0], t->dims[1], large[0], large[1]};
        const struct onnx_tensor *same;
        float *floats;
        if (large[0] == w->kernel[0] && large[1] == w->kernel[1])
                return onnx_param_input(r, s, "weight", 1);
        int rc = onnx_take_floats(r, 1, &same, &floats);
        if (rc)
                return rc;
        float *wide = widen(floats, dims[0] * dims[1], w->kernel, large, at);
        free(floats);
        if (!wide)
                return onnx_no_memory(r);
        onnx_param_floats(s, "weight", 4, dims, wide);
        return 0;
}

static int check_conv(struct onnx_reading *r, const struct onnx_tensor *t, const struct onnx_windows *w,
        int c, int64_t groups)
{
        if (groups < 1 || groups > t->dims[0] || t->dims[1] * groups != c)
                return onnx_refuse(r, "its weights are for %lld channels in %lld groups, its input has %d",
                        (long long)t->dims[1], (long long)groups, c);
        if (t->dims[2] != w->kernel[0] || t->dims[3] != w->kernel[1])
                return onnx_refuse(r, "its weights are not of \"kernel_shape\"");
        return 0;
}

int onnx_conv(struct onnx_reading *r)
{
        struct onnx_edge from;
        struct onnx_step *s;
        struct onnx_windows w;
        const struct onnx_tensor *t = onnx_graph_constant(&r->graph, onnx_input_name(r, 1));
        const bool bias = onnx_input_name(r, 2) >= 0;
        int large[2], at[2], padding[2], out[2];
        int rc = onnx_take_image(r, 0, true, &from);
        if (rc)
                return rc;
        if (!t || t->ndim != 4)
                return onnx_refuse(r, "its weights are not a constant of the shape (O,I,h,w)");
        const struct onnx_value in = r->values[from.value];
        const int64_t groups = onnx_op_int(r->op, "group", 1);
        w.kernel[0] = t->dims[2] <= INT16_MAX ? (int)t->dims[2] : 0;
        w.kernel[1] = t->dims[3] <= INT16_MAX ? (int)t->dims[3] : 0;
        rc = onnx_read_windows(r, &from, &w);
        if (rc == 0)
                rc = check_conv(r, t, &w, in.c, groups);
        if (rc)
                return rc;
        for (int i = 0; i < 2; i++) {
                w.begin[i] += from.pad[i];
                w.end[i] += from.pad[i + 2];
                const int span = (i ? in.w : in.h) + w.begin[i] + w.end[i] - reach(&w, i) - 1;
                if (span < 0)
                        return onnx_refuse(r, "its kernel is larger than its padded input");
                out[i] = span / w.stride[i] + 1;
        }
        const bool same = is_same(&w);
        for (int i = 0; i < 2; i++) {
                padding[i] = w.begin[i] > w.end[i] ? w.begin[i] : w.end[i];
                at[i] = same ? 0 : padding[i] - w.begin[i];
                large[i] = w.kernel[i] + (same ? 0 : 2 * padding[i] - w.begin[i] - w.end[i]);
                if (large[i] != w.kernel[i] && w.dilation[i] > 1)
                        return onnx_refuse(
                                r, "its taps are apart, and its padding differs from side to side");
        }
        rc = onnx_layer(r, "conv2d", &from, (const int[3]){(int)t->dims[0], out[0], out[1]}, &s);
        if (rc)
                return rc;
        onnx_number(s, "out_channels", (double)t->dims[0]);
        onnx_pair(s, "kernel_size", large);
        onnx_pair(s, "stride", w.stride);
        if (same)
                json_add(s->layer, "padding", cJSON_CreateString("same"));
        else
                onnx_pair(s, "padding", padding);
        if (w.dilation[0] != 1 || w.dilation[1] != 1)
                onnx_pair(s, "dilation", w.dilation);
        onnx_number(s, "groups", (double)groups);
        onnx_flag(s, "bias", bias);
        rc = conv_weight(r, s, t, &w, large, at);
        return rc || !bias ? rc : onnx_param_input(r, s, "bias", 2);
}

/* --- linear layers --- */

/* (O,I) of a constant that is (I,O) unless `transposed`, times `alpha`, its columns in the order that
   features have here. */
static int linear_weight(struct onnx_reading *r, struct onnx_step *s, const struct onnx_edge *from, int outs,
        int ins, bool transposed, float alpha)
{
        const int64_t dims[2] = {outs, ins};
        const struct onnx_tensor *t;
        const bool reorder = from->last && from->h * from->w > 1;
        float *theirs = NULL;
        if (transposed && alpha == 1 && !reorder)
                return onnx_param_input(r, s, "weight", 1);
        int rc = onnx_take_floats(r, 1, &t, &theirs);
        float *ours = rc == 0 ? malloc((size_t)outs * (size_t)ins * sizeof *ours) : NULL;
        if (rc == 0 && !ours)
                rc = onnx_no_memory(r);
        for (int64_t i = 0; i < ins && rc == 0; i++) {
                int64_t at = i;
                if (reorder) { /* ours is (c,h,w), theirs (h,w,c) */
                        const int64_t area = (int64_t)from->h * from->w;
                        at = i % area * from->c + i / area;
                }
                for (int64_t o = 0; o < outs; o++)
                        ours[o * ins + i] = alpha * theirs[transposed ? o * ins + at : at * outs + o];
        }
        free(theirs);
        if (rc == 0)
                onnx_param_floats(s, "weight", 2, dims, ours);
        return rc;
}

static int linear_bias(struct onnx_reading *r, struct onnx_step *s, int outs, float beta)
{
        const int64_t dims[1] = {outs};
        const struct onnx_tensor *t;
        float *theirs, *ours;
        int rc = onnx_take_floats(r, 2, &t, &theirs);
        if (rc)
                return rc;
        if (t->count != 1 && (t->count != (size_t)outs || t->dims[t->ndim - 1] != outs)) {
                free(theirs);
                return onnx_refuse(r, "what is added is not one number for each of %d outputs", outs);
        }
        ours = malloc((size_t)outs * sizeof *ours);
        for (int o = 0; ours && o < outs; o++)
                ours[o] = beta * theirs[t->count == 1 ? 0 : o];
        free(theirs);
        if (!ours)
                return onnx_no_memory(r);
        onnx_param_floats(s, "bias", 1, dims, ours);
        return 0;
}

static int linear(struct onnx_reading *r, bool transposed, bool bias, float alpha, float beta)
{
        struct onnx_edge from;
        struct onnx_step *s;
        const struct onnx_tensor *t = onnx_graph_constant(&r->graph, onnx_input_name(r, 1));
        int rc = onnx_take(r, 0, false, &from);
        if (rc)
                return rc;
        if (!t || t->ndim != 2)
                return onnx_refuse(r, "its second input is not a constant matrix");
        if (from.rank != 2)
                return onnx_refuse(r, "its input is not of the shape (N,C)");
        const int64_t outs = t->dims[!transposed], ins = t->dims[transposed];
        if (ins != r->values[from.value].c || outs < 1)
                return onnx_refuse(r, "its matrix is for %lld numbers, its input has %d", (long long)ins,
                        r->values[from.value].c);
        rc = onnx_layer(r, "linear", &from, (const int[3]){(int)outs, 1, 1}, &s);
        if (rc)
                return rc;
        r->edges[r->op->outputs[0]].last = false;
        onnx_number(s, "out_features", (double)outs);
        onnx_flag(s, "bias", bias);
        rc = linear_weight(r, s, &from, (int)outs, (int)ins, transposed, alpha);
        return rc || !bias ? rc : linear_bias(r, s, (int)outs, beta);
}

int onnx_gemm(struct onnx_reading *r)
{
        if (onnx_op_int(r->op, "transA", 0))
                return onnx_refuse(r, "its input is transposed");
        return linear(r, onnx_op_int(r->op, "transB", 0) != 0, onnx_input_name(r, 2) >= 0,
                onnx_op_float(r->op, "alpha", 1), onnx_op_float(r->op, "beta", 1));
}

int onnx_matmul(struct onnx_reading *r)
{
        const int name = onnx_input_name(r, 0);
        if (onnx_is_edge(r, 1) || (onnx_is_edge(r, 0) && r->edges[name].special == ONNX_ROW_MEANS))
                return onnx_means(r);
        return linear(r, false, false, 1, 1);
}

/* --- norms --- */

/* Nothing beside a variance that is not zero. */
#define LEAST_EPS 1e-12

/* The k-th input has one number for each of `count`. */
static int param_of(struct onnx_reading *r, struct onnx_step *s, const char *name, int k, size_t count)
{
        const struct onnx_tensor *t = onnx_graph_constant(&r->graph, onnx_input_name(r, k));
        if (!t || t->count != count)
                return onnx_refuse(r, "its input %d is not a constant of %zu numbers", k + 1, count);
        return onnx_param_input(r, s, name, k);
}

int onnx_batch_norm(struct onnx_reading *r)
{
        static const char *const names[] = {"weight", "bias", "running_mean", "running_var"};
        struct onnx_edge from;
        struct onnx_step *s;
        int rc = onnx_take(r, 0, false, &from);
        if (rc)
                return rc;
        if (from.last)
                return onnx_refuse(r, "its input has its channels last");
        bool trains = onnx_op_int(r->op, "training_mode", 0) != 0; /* before set 14 by its outputs */
        for (int i = 1; i < r->op->num_outputs; i++)
                trains = trains || r->op->outputs[i] >= 0;
        if (trains)
                return onnx_refuse(r, "it is in training mode: export the model in evaluation mode");
        const struct onnx_value in = r->values[from.value];
        rc = onnx_layer(r, "batch_norm", &from, (const int[3]){in.c, in.h, in.w}, &s);
        if (rc)
                return rc;
        onnx_number(s, "eps", fmax(LEAST_EPS, (double)onnx_op_float(r->op, "epsilon", 1e-5f)));
        for (int k = 0; k < 4 && rc == 0; k++)
                rc = param_of(r, s, names[k], k + 1, (size_t)in.c);
        onnx_param_counter(s);
        return rc;
}

int onnx_layer_norm(struct onnx_reading *r)
{
        struct onnx_edge from;
        struct onnx_step *s;
        int shape[3];
        int64_t count = 1;
        int rc = onnx_take(r, 0, false, &from);
        if (rc)
                return rc;
        const struct onnx_value in = r->values[from.value];
        const int dims[3] = {in.c, in.h, in.w};
        int64_t axis = onnx_op_int(r->op, "axis", -1);
        axis += axis < 0 ? from.rank : 0;
        if (from.last || axis < 1 || axis >= from.rank)
                return onnx_refuse(r, "it does not normalise the last dimensions of (N,C) or (N,C,H,W)");
        const bool bias = onnx_input_name(r, 2) >= 0;
        const int first = from.rank == 2 ? 0 : (int)axis - 1, last = from.rank == 2 ? 1 : 3;
        for (int i = first; i < last; i++) {
                shape[i - first] = dims[i];
                count *= dims[i];
        }
        rc = onnx_layer(r, "layer_norm", &from, dims, &s);
        if (rc)
                return rc;
        json_add(s->layer, "normalized_shape", cJSON_CreateIntArray(shape, last - first));
        onnx_number(s, "eps", fmax(LEAST_EPS, (double)onnx_op_float(r->op, "epsilon", 1e-5f)));
        onnx_flag(s, "bias", bias);
        rc = param_of(r, s, "weight", 1, (size_t)count);
        return rc || !bias ? rc : param_of(r, s, "bias", 2, (size_t)count);
}

/* --- activations --- */

int onnx_activation(struct onnx_reading *r)
{
        enum { LEAKY = 3, GELU };
        static const char *const types[][2] = {{"Relu", "relu"}, {"Sigmoid", "sigmoid"},
                {"Tanh", "tanh"}, [LEAKY] = {"LeakyRelu", "leaky_relu"}, [GELU] = {"Gelu", "gelu"}};
        struct onnx_edge from;
        struct onnx_step *s;
        size_t which = 0;
        int rc = onnx_gelu_part(r);
        if (rc)
                return rc < 0 ? rc : 0;
        rc = onnx_take(r, 0, false, &from);
        if (rc)
                return rc;
        while (!protobuf_is(r->op->type, types[which][0]))
                which++;
        const struct onnx_value in = r->values[from.value];
        rc = onnx_layer(r, types[which][1], &from, (const int[3]){in.c, in.h, in.w}, &s);
        if (rc == 0 && which == GELU && protobuf_is(onnx_op_text(r->op, "approximate"), "tanh"))
                json_add(s->layer, "approximate", cJSON_CreateString("tanh"));
        if (rc == 0 && which == LEAKY)
                onnx_number(s, "negative_slope", (double)onnx_op_float(r->op, "alpha", 0.01f));
        return rc;
}

/* A bound of a clip, an attribute or an input; `none` without. */
static int clip_bound(struct onnx_reading *r, const char *name, int k, float none, float *ret)
{
        const struct onnx_tensor *t;
        float *floats;
        *ret = onnx_op_float(r->op, name, none);
        if (onnx_input_name(r, k) < 0)
                return 0;
        int rc = onnx_take_floats(r, k, &t, &floats);
        if (rc)
                return rc;
        *ret = t->count == 1 ? floats[0] : NAN;
        free(floats);
        return 0;
}

int onnx_clip(struct onnx_reading *r)
{
        struct onnx_edge from;
        struct onnx_step *s;
        float low, high;
        int rc = onnx_take(r, 0, false, &from);
        if (rc == 0)
                rc = clip_bound(r, "min", 1, -HUGE_VALF, &low);
        if (rc == 0)
                rc = clip_bound(r, "max", 2, HUGE_VALF, &high);
        if (rc)
                return rc;
        if (low != 0 || (!(high >= 3e38f) && high != 6))
                return onnx_refuse(r, "a clip from %g to %g is not a layer here", (double)low, (double)high);
        const struct onnx_value in = r->values[from.value];
        return onnx_layer(r, high == 6 ? "relu6" : "relu", &from, (const int[3]){in.c, in.h, in.w}, &s);
}
