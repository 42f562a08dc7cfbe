#include "ops/layer_norm.h"
#include "ref/ref.h"

#include <math.h>

struct moments {
        double mean, inverse;
};

static struct moments moments_of(const struct layer_norm_args *a, const double *x)
{
        const int size = layer_norm_size(a);
        double sum = 0, squares = 0;
        for (int i = 0; i < size; i++)
                sum += x[i];
        for (int i = 0; i < size; i++)
                squares += (x[i] - sum / size) * (x[i] - sum / size);
        return (struct moments){sum / size, 1 / sqrt(squares / size + a->eps)};
}

static double weight_of(const struct op *op, const struct ref_call *c, int i)
{
        return op->num_params > 0 ? c->params[0][i] : 1;
}

static int64_t groups_of(const struct op *op, const struct ref_call *c)
{
        return c->n * shape_count(op->out) / layer_norm_size(op->args);
}

static void forward(const struct op *op, const struct ref_call *c)
{
        const int size = layer_norm_size(op->args);
        for (int64_t g = 0; g < groups_of(op, c); g++) {
                const double *x = c->x[0] + g * size;
                const struct moments m = moments_of(op->args, x);
                for (int i = 0; i < size; i++)
                        c->y[g * size + i] = (x[i] - m.mean) * m.inverse * weight_of(op, c, i) +
                                             (op->num_params > 1 ? c->params[1][i] : 0);
        }
}

static void add_dparams(const struct op *op, const struct ref_call *c, const struct moments *m, int64_t group)
{
        const int size = layer_norm_size(op->args);
        for (int i = 0; i < size; i++) {
                const double dy = c->dy[group * size + i];
                if (op->num_params > 0 && c->dparams[0])
                        c->dparams[0][i] += dy * (c->x[0][group * size + i] - m->mean) * m->inverse;
                if (op->num_params > 1 && c->dparams[1])
                        c->dparams[1][i] += dy;
        }
}

static void backward(const struct op *op, const struct ref_call *c)
{
        const int size = layer_norm_size(op->args);
        for (int k = 0; k < op->num_params; k++)
                for (int i = 0; c->dparams[k] && i < size; i++)
                        c->dparams[k][i] = 0;
        for (int64_t g = 0; g < groups_of(op, c); g++) {
                const double *x = c->x[0] + g * size, *dy = c->dy + g * size;
                const struct moments m = moments_of(op->args, x);
                double sum = 0, product = 0;
                for (int i = 0; i < size; i++) {
                        sum += dy[i] * weight_of(op, c, i);
                        product += dy[i] * weight_of(op, c, i) * (x[i] - m.mean) * m.inverse;
                }
                for (int i = 0; i < size; i++)
                        c->dx[0][g * size + i] =
                                m.inverse * (dy[i] * weight_of(op, c, i) - sum / size -
                                                    (x[i] - m.mean) * m.inverse * product / size);
                add_dparams(op, c, &m, g);
        }
}

const struct ref_op ref_layer_norm = {forward, backward};
