#include "ref/ref.h"

#include <string.h>

static void linear_forward(const struct op *op, const struct ref_call *c)
{
        const int64_t in = op->in[0].c, out = op->out.c;
        for (int64_t i = 0; i < c->n * out; i++) {
                const double *x = c->x[0] + i / out * in, *w = c->params[0] + i % out * in;
                double sum = op->num_params == 2 ? c->params[1][i % out] : 0;
                for (int64_t f = 0; f < in; f++)
                        sum += x[f] * w[f];
                c->y[i] = sum;
        }
}

static void linear_backward(const struct op *op, const struct ref_call *c)
{
        const int64_t in = op->in[0].c, out = op->out.c;
        memset(c->dx[0], 0, (size_t)(c->n * in) * sizeof *c->dx[0]);
        for (int i = 0; i < op->num_params; i++)
                memset(c->dparams[i], 0, (size_t)op_param_count(&op->params[i]) * sizeof *c->dparams[i]);
        for (int64_t i = 0; i < c->n * out; i++) {
                const int64_t n = i / out, k = i % out;
                for (int64_t f = 0; f < in; f++) {
                        c->dx[0][n * in + f] += c->dy[i] * c->params[0][k * in + f];
                        c->dparams[0][k * in + f] += c->dy[i] * c->x[0][n * in + f];
                }
                if (op->num_params == 2)
                        c->dparams[1][k] += c->dy[i];
        }
}

const struct ref_op ref_linear = {linear_forward, linear_backward};
