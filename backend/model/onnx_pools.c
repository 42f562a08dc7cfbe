/* Pooling, and means over whole images. */
#include "model/onnx_reading.h"

#include <stdlib.h>

static int windows_along(int in, int padding, int kernel, int stride, bool ceil)
{
        const int span = in + 2 * padding - kernel;
        if (span < 0)
                return 0;
        int out = (span + (ceil ? stride - 1 : 0)) / stride + 1;
        if (ceil && (out - 1) * stride >= in + padding)
                out--;
        return out;
}

/* Whether windows that begin `begin` before the input are as many as the file's, with padding on both sides.
 */
static bool as_many(const struct onnx_windows *w, const int in[2], const int theirs[2], bool ceil)
{
        for (int i = 0; i < 2; i++)
                if (windows_along(in[i], w->begin[i], w->kernel[i], w->stride[i], ceil) != theirs[i])
                        return false;
        return true;
}

struct pooling {
        struct onnx_edge from;
        struct onnx_windows w;
        int out[2];
        bool ceil;  /* as the layer here needs it */
        bool even;  /* the padding is alike on both sides */
        bool zeros; /* it is zeros of the input's own, which count */
};

/* Zeros that were put around the input before. To the largest of numbers that are not negative they are what
   padding is. */
static int take_zeros(struct onnx_reading *r, bool averages, struct pooling *p)
{
        const int *pad = p->from.pad;
        p->zeros = pad[0] || pad[1] || pad[2] || pad[3];
        if (!p->zeros)
                return 0;
        if (!averages && !onnx_made_by(r, p->from.value, "relu") && !onnx_made_by(r, p->from.value, "relu6"))
                return onnx_refuse(r, "zeros are put around its input, which may be less than they are");
        if ((averages && (pad[0] != pad[2] || pad[1] != pad[3])) || p->w.begin[0] || p->w.begin[1])
                return onnx_refuse(r, "zeros are put around its input that differ from side to side, or "
                                      "padding around them");
        for (int i = 0; i < 2; i++) {
                p->w.begin[i] = pad[i];
                p->w.end[i] += pad[i + 2];
        }
        return 0;
}

/* The end of the padding only says how many windows there are: here ceil_mode does. */
static int read_pooling(struct onnx_reading *r, bool averages, struct pooling *ret)
{
        struct onnx_windows *w = &ret->w;
        w->kernel[0] = w->kernel[1] = 0;
        int rc = onnx_take_image(r, 0, true, &ret->from);
        if (rc == 0)
                rc = onnx_read_windows(r, &ret->from, w);
        if (rc == 0)
                rc = take_zeros(r, averages, ret);
        if (rc)
                return rc;
        if (w->dilation[0] != 1 || w->dilation[1] != 1)
                return onnx_refuse(r, "pooling with dilation is not a layer here");
        const struct onnx_value v = r->values[ret->from.value];
        const int in[2] = {v.h, v.w};
        const bool ceil = onnx_op_int(r->op, "ceil_mode", 0) != 0;
        for (int i = 0; i < 2; i++) {
                const int span = in[i] + w->begin[i] + w->end[i] - w->kernel[i];
                if (span < 0)
                        return onnx_refuse(r, "its windows are larger than its padded input");
                ret->out[i] = (span + (ceil ? w->stride[i] - 1 : 0)) / w->stride[i] + 1;
                if (ceil && (ret->out[i] - 1) * w->stride[i] >= in[i] + w->begin[i])
                        ret->out[i]--;
                if (w->begin[i] > w->kernel[i] / 2)
                        return onnx_refuse(r, "its padding is more than half a window");
        }
        if (ceil && ret->zeros)
                return onnx_refuse(r, "zeros are put around its input, and windows reach beyond them");
        ret->even = w->begin[0] == w->end[0] && w->begin[1] == w->end[1];
        ret->ceil = !as_many(w, in, ret->out, false);
        if (ret->ceil && !as_many(w, in, ret->out, true))
                return onnx_refuse(
                        r, "its padding differs from side to side by more than a layer here can do");
        return 0;
}

static int pool(struct onnx_reading *r, const struct pooling *p, const char *type, struct onnx_step **ret)
{
        const struct onnx_value in = r->values[p->from.value];
        int rc = onnx_layer(r, type, &p->from, (const int[3]){in.c, p->out[0], p->out[1]}, ret);
        if (rc)
                return rc;
        onnx_pair(*ret, "kernel_size", p->w.kernel);
        onnx_pair(*ret, "stride", p->w.stride);
        onnx_pair(*ret, "padding", p->w.begin);
        onnx_flag(*ret, "ceil_mode", p->ceil);
        return 0;
}

int onnx_max_pool(struct onnx_reading *r)
{
        struct pooling p;
        struct onnx_step *s;
        if (r->op->num_outputs > 1 && r->op->outputs[1] >= 0 && r->uses[r->op->outputs[1]])
                return onnx_refuse(r, "where its largest values lie is asked for, which no layer here tells");
        int rc = read_pooling(r, false, &p);
        return rc ? rc : pool(r, &p, "max_pool2d", &s);
}

int onnx_average_pool(struct onnx_reading *r)
{
        struct pooling p;
        struct onnx_step *s;
        const bool counts = onnx_op_int(r->op, "count_include_pad", 0) != 0;
        int rc = read_pooling(r, true, &p);
        if (rc)
                return rc;
        const bool padded = p.w.begin[0] || p.w.begin[1] || p.w.end[0] || p.w.end[1];
        if (counts && padded && (p.zeros || (p.ceil && !p.even)))
                return onnx_refuse(r, "it counts padding that differs from side to side");
        rc = pool(r, &p, "avg_pool2d", &s);
        if (rc == 0)
                onnx_flag(s, "count_include_pad", (counts && padded) || p.zeros);
        return rc;
}

/* The mean or the largest of a whole image, of rank 4 or 2 after. */
static int global(struct onnx_reading *r, const struct onnx_edge *from, bool largest, bool keeps)
{
        struct onnx_edge to;
        struct onnx_step *s;
        const struct onnx_value in = r->values[from->value];
        int rc = onnx_layer(
                r, largest ? "max_pool2d" : "adaptive_avg_pool2d", from, (const int[3]){in.c, 1, 1}, &s);
        if (rc)
                return rc;
        onnx_pair(s, largest ? "kernel_size" : "output_size",
                largest ? (const int[2]){in.h, in.w} : (const int[2]){1, 1});
        to = r->edges[r->op->outputs[0]];
        if (!keeps) {
                to.rank = 2;
                to.last = false;
        }
        return onnx_give(r, to);
}

int onnx_global_pool(struct onnx_reading *r)
{
        struct onnx_edge from;
        int rc = onnx_take_image(r, 0, false, &from);
        return rc ? rc : global(r, &from, protobuf_is(r->op->type, "GlobalMaxPool"), true);
}

int onnx_reduce(struct onnx_reading *r)
{
        struct onnx_edge from;
        int64_t axes[ONNX_KNOWN];
        const bool largest = protobuf_is(r->op->type, "ReduceMax");
        const int n = onnx_axes(r, 4, axes);
        if (n < 0)
                return n;
        if (n == 3 && !largest && axes[0] * axes[1] * axes[2] == 6 && axes[0] + axes[1] + axes[2] == 6 &&
                onnx_op_int(r->op, "keepdims", 1))
                return onnx_image_part(r);
        int rc = onnx_take(r, 0, false, &from);
        if (rc)
                return rc;
        const int64_t first = from.last ? 1 : 2;
        if (from.rank != 4 || n != 2 || axes[0] + axes[1] != 2 * first + 1 ||
                (axes[0] != first && axes[1] != first))
                return onnx_refuse(r, "it does not go over the height and width of images");
        return global(r, &from, largest, onnx_op_int(r->op, "keepdims", 1) != 0);
}

/* --- uneven windows, as cnnd writes them: a product with means from the left and one from the right --- */

/* Whether line o of the matrix, (outs,ins) or its transpose, is the mean of window o of `outs` over `ins`. */
static bool is_means(const float *m, int outs, int ins, bool transposed)
{
        for (int o = 0; o < outs; o++) {
                const int first = (int)((int64_t)o * ins / outs);
                const int end = (int)(((int64_t)(o + 1) * ins + outs - 1) / outs);
                for (int i = 0; i < ins; i++) {
                        const float want = i >= first && i < end ? 1.0f / (float)(end - first) : 0;
                        const float got = m[transposed ? (int64_t)i * outs + o : (int64_t)o * ins + i];
                        if (got < want - 1e-6f || got > want + 1e-6f)
                                return false;
                }
        }
        return true;
}

int onnx_means(struct onnx_reading *r)
{
        const bool left = onnx_is_edge(r, 1); /* the matrix stands there */
        const int name = onnx_input_name(r, left ? 1 : 0);
        struct onnx_edge edge = r->edges[name];
        struct onnx_step *s;
        const struct onnx_tensor *t;
        const struct onnx_value v = r->values[edge.value];
        const int ins = left ? v.h : v.w;
        float *m;
        if (edge.value == 0 && edge.stage != r->stage)
                return onnx_refuse(r, "what goes in is normalised in a way that is not known here");
        if (edge.rank != 4 || edge.last ||
                (left ? edge.special != ONNX_PLAIN : edge.special != ONNX_ROW_MEANS))
                return onnx_refuse(r, "a product of images and a matrix is not a layer here");
        int rc = onnx_take_floats(r, left ? 0 : 1, &t, &m);
        if (rc)
                return rc;
        const int64_t outs = t->ndim == 2 ? t->dims[!left] : 0;
        const bool means =
                outs > 0 && outs <= 65536 && t->dims[left] == ins && is_means(m, (int)outs, ins, !left);
        free(m);
        if (!means)
                return onnx_refuse(r, "a product of images and a matrix is not a layer here");
        if (left) {
                edge.special = ONNX_ROW_MEANS;
                edge.h = (int)outs;
                return onnx_give(r, edge);
        }
        const int sides[2] = {edge.h, (int)outs};
        edge.special = ONNX_PLAIN;
        rc = onnx_layer(r, "adaptive_avg_pool2d", &edge, (const int[3]){v.c, sides[0], sides[1]}, &s);
        if (rc == 0)
                onnx_pair(s, "output_size", sides);
        return rc;
}
