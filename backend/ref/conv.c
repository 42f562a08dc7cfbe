#include "ops/conv.h"
#include "ref/ref.h"

#include <string.h>

/* One multiplication of the convolution: indices into y, x and w. */
typedef void visit(const struct ref_call *c, int64_t y, int64_t x, int64_t w);

/* Those of one pixel of y, whose index is `y`. */
static inline void products_of(
        const struct op *op, const struct ref_call *c, int n, int k, int oh, int ow, int64_t y, visit *v)
{
        const struct conv_args *a = op->args;
        const struct shape in = op->in[0];
        const int channels = in.c / a->groups, rows = a->kernel_size[0], columns = a->kernel_size[1];
        const int top = oh * a->stride[0] - a->padding[0], left = ow * a->stride[1] - a->padding[1];
        const int first = k / (op->out.c / a->groups) * channels;
        for (int channel = 0; channel < channels; channel++)
                for (int r = 0; r < rows; r++) {
                        const int h = top + r * a->dilation[0];
                        const int64_t x = (((int64_t)n * in.c + first + channel) * in.h + h) * in.w;
                        const int64_t w = (((int64_t)k * channels + channel) * rows + r) * columns;
                        if (h < 0 || h >= in.h)
                                continue;
                        for (int s = 0; s < columns; s++) {
                                const int at = left + s * a->dilation[1];
                                if (at >= 0 && at < in.w)
                                        v(c, y, x + at, w + s);
                        }
                }
}

/* All multiplications whose input lies inside the image; what lies in the padding is zero. */
static inline void each_product(const struct op *op, const struct ref_call *c, visit *v)
{
        const struct shape out = op->out;
        int64_t y = 0;
        for (int n = 0; n < c->n; n++)
                for (int k = 0; k < out.c; k++)
                        for (int h = 0; h < out.h; h++)
                                for (int w = 0; w < out.w; w++)
                                        products_of(op, c, n, k, h, w, y++, v);
}

static void add_y(const struct ref_call *c, int64_t y, int64_t x, int64_t w)
{
        c->y[y] += c->x[0][x] * c->params[0][w];
}

static void add_gradients(const struct ref_call *c, int64_t y, int64_t x, int64_t w)
{
        c->dx[0][x] += c->dy[y] * c->params[0][w];
        c->dparams[0][w] += c->dy[y] * c->x[0][x];
}

static void conv_forward(const struct op *op, const struct ref_call *c)
{
        const int64_t pixels = (int64_t)op->out.h * op->out.w;
        for (int64_t i = 0; i < c->n * shape_count(op->out); i++)
                c->y[i] = op->num_params == 2 ? c->params[1][i / pixels % op->out.c] : 0;
        each_product(op, c, add_y);
}

static void conv_backward(const struct op *op, const struct ref_call *c)
{
        const int64_t pixels = (int64_t)op->out.h * op->out.w;
        memset(c->dx[0], 0, (size_t)(c->n * shape_count(op->in[0])) * sizeof *c->dx[0]);
        for (int i = 0; i < op->num_params; i++)
                memset(c->dparams[i], 0, (size_t)op_param_count(&op->params[i]) * sizeof *c->dparams[i]);
        each_product(op, c, add_gradients);
        for (int64_t i = 0; i < c->n * shape_count(op->out) && op->num_params == 2; i++)
                c->dparams[1][i / pixels % op->out.c] += c->dy[i];
}

const struct ref_op ref_conv2d = {conv_forward, conv_backward};
