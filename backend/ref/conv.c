#include "ops/conv.h"
#include "ref/ref.h"

#include <string.h>

/* One multiplication of the convolution: indices into y, x and w. */
typedef void visit(const struct ref_call *c, int64_t y, int64_t x, int64_t w);

/* All multiplications whose input lies inside the image; what lies in the padding is zero. */
static void each_product(const struct op *op, const struct ref_call *c, visit *v)
{
        const struct conv_args *a = op->args;
        const struct shape in = op->in[0], out = op->out;
        const int channels = in.c / a->groups, per_group = out.c / a->groups;
        const int rows = a->kernel_size[0], columns = a->kernel_size[1];
        for (int n = 0; n < c->n; n++)
                for (int k = 0; k < out.c; k++)
                        for (int64_t pixel = 0; pixel < (int64_t)out.h * out.w; pixel++)
                                for (int64_t tap = 0; tap < (int64_t)channels * rows * columns; tap++) {
                                        int h = (int)(pixel / out.w) * a->stride[0] - a->padding[0] +
                                                (int)(tap / columns % rows);
                                        int w = (int)(pixel % out.w) * a->stride[1] - a->padding[1] +
                                                (int)(tap % columns);
                                        int64_t channel = k / per_group * channels + tap / columns / rows;
                                        if (h < 0 || h >= in.h || w < 0 || w >= in.w)
                                                continue;
                                        v(c, ((int64_t)n * out.c + k) * out.h * out.w + pixel,
                                                ((n * in.c + channel) * in.h + h) * in.w + w,
                                                (int64_t)k * channels * rows * columns + tap);
                                }
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
