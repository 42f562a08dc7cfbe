#include "ops/pool.h"
#include "ops/kinds.h"
#include "ref/ref.h"

#include <math.h>

/* One window of one plane. */
struct window {
        int from[2], to[2];
        double count; /* what an average divides by */
};

static struct window window_at(const struct op *op, int i, int j)
{
        const struct pool_args *a = op->args;
        const int o[2] = {i, j}, size[2] = {op->in[0].h, op->in[0].w};
        struct window v;
        for (int k = 0; k < 2; k++) {
                v.from[k] = o[k] * a->stride[k] - a->padding[k];
                v.to[k] = v.from[k] + a->kernel_size[k];
                if (v.from[k] < 0)
                        v.from[k] = 0;
                if (v.to[k] > size[k])
                        v.to[k] = size[k];
        }
        v.count = 1;
        for (int k = 0; k < 2; k++) { /* what reaches beyond the padding never counts */
                const int begin = o[k] * a->stride[k] - a->padding[k], end = size[k] + a->padding[k];
                const int padded = begin + a->kernel_size[k] < end ? a->kernel_size[k] : end - begin;
                v.count *= a->count_include_pad ? padded : v.to[k] - v.from[k];
        }
        return v;
}

static struct window adaptive_window_at(const struct op *op, int i, int j)
{
        const int o[2] = {i, j}, size[2] = {op->in[0].h, op->in[0].w}, count[2] = {op->out.h, op->out.w};
        struct window v;
        for (int k = 0; k < 2; k++) {
                v.from[k] = (int)floor((double)o[k] * size[k] / count[k]);
                v.to[k] = (int)ceil((double)(o[k] + 1) * size[k] / count[k]);
        }
        v.count = (double)(v.to[0] - v.from[0]) * (v.to[1] - v.from[1]);
        return v;
}

static double mean_of(const double *x, int width, const struct window *v)
{
        double sum = 0;
        for (int r = v->from[0]; r < v->to[0]; r++)
                for (int s = v->from[1]; s < v->to[1]; s++)
                        sum += x[r * width + s];
        return sum / v->count;
}

/* Index of the first largest value; of the last NaN where there are some. */
static int largest(const double *x, int width, const struct window *v)
{
        int best = v->from[0] * width + v->from[1];
        for (int r = v->from[0]; r < v->to[0]; r++)
                for (int s = v->from[1]; s < v->to[1]; s++)
                        if (x[r * width + s] > x[best] || isnan(x[r * width + s]))
                                best = r * width + s;
        return best;
}

/* Calls `visit` for every window of every plane; o is the index into y, x and dx start at the plane. */
typedef void visit(const struct op *op, const struct ref_call *c, const struct window *v, const double *x,
        double *dx, int64_t o);

static void each_window(const struct op *op, const struct ref_call *c, visit *f)
{
        const struct shape in = op->in[0], out = op->out;
        for (int64_t plane = 0; plane < (int64_t)c->n * in.c; plane++)
                for (int i = 0; i < out.h; i++)
                        for (int j = 0; j < out.w; j++) {
                                const struct window v = op->kind == &op_adaptive_avg_pool2d
                                                                ? adaptive_window_at(op, i, j)
                                                                : window_at(op, i, j);
                                const int64_t start = plane * in.h * in.w;
                                f(op, c, &v, c->x[0] + start, c->dx[0] ? c->dx[0] + start : NULL,
                                        (plane * out.h + i) * out.w + j);
                        }
}

static void put_max(const struct op *op, const struct ref_call *c, const struct window *v, const double *x,
        double *dx, int64_t o)
{
        (void)dx;
        c->y[o] = x[largest(x, op->in[0].w, v)];
}

static void put_mean(const struct op *op, const struct ref_call *c, const struct window *v, const double *x,
        double *dx, int64_t o)
{
        (void)dx;
        c->y[o] = mean_of(x, op->in[0].w, v);
}

static void add_max(const struct op *op, const struct ref_call *c, const struct window *v, const double *x,
        double *dx, int64_t o)
{
        dx[largest(x, op->in[0].w, v)] += c->dy[o];
}

static void add_mean(const struct op *op, const struct ref_call *c, const struct window *v, const double *x,
        double *dx, int64_t o)
{
        (void)x;
        for (int r = v->from[0]; r < v->to[0]; r++)
                for (int s = v->from[1]; s < v->to[1]; s++)
                        dx[r * op->in[0].w + s] += c->dy[o] / v->count;
}

static void clear(const struct op *op, const struct ref_call *c)
{
        for (int64_t i = 0; i < c->n * shape_count(op->in[0]); i++)
                c->dx[0][i] = 0;
}

static void max_forward(const struct op *op, const struct ref_call *c)
{
        each_window(op, c, put_max);
}

static void max_backward(const struct op *op, const struct ref_call *c)
{
        clear(op, c);
        each_window(op, c, add_max);
}

static void avg_forward(const struct op *op, const struct ref_call *c)
{
        each_window(op, c, put_mean);
}

static void avg_backward(const struct op *op, const struct ref_call *c)
{
        clear(op, c);
        each_window(op, c, add_mean);
}

const struct ref_op ref_max_pool2d = {max_forward, max_backward};
const struct ref_op ref_avg_pool2d = {avg_forward, avg_backward};
const struct ref_op ref_adaptive_avg_pool2d = {avg_forward, avg_backward};
