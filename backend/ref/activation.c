#include "ref/ref.h"

#include <math.h>

static int64_t count_of(const struct op *op, const struct ref_call *c)
{
        return c->n * shape_count(op->out);
}

static double relu(double x)
{
        return x > 0 || isnan(x) ? x : 0;
}

static double sigmoid(double x)
{
        return 1 / (1 + exp(-x));
}

static void relu_forward(const struct op *op, const struct ref_call *c)
{
        for (int64_t i = 0; i < count_of(op, c); i++)
                c->y[i] = relu(c->x[0][i]);
}

static void relu_backward(const struct op *op, const struct ref_call *c)
{
        for (int64_t i = 0; i < count_of(op, c); i++)
                c->dx[0][i] = c->x[0][i] <= 0 ? 0 : c->dy[i];
}

static void sigmoid_forward(const struct op *op, const struct ref_call *c)
{
        for (int64_t i = 0; i < count_of(op, c); i++)
                c->y[i] = sigmoid(c->x[0][i]);
}

static void sigmoid_backward(const struct op *op, const struct ref_call *c)
{
        for (int64_t i = 0; i < count_of(op, c); i++) {
                double y = sigmoid(c->x[0][i]);
                c->dx[0][i] = c->dy[i] * y * (1 - y);
        }
}

static void tanh_forward(const struct op *op, const struct ref_call *c)
{
        for (int64_t i = 0; i < count_of(op, c); i++)
                c->y[i] = tanh(c->x[0][i]);
}

static void tanh_backward(const struct op *op, const struct ref_call *c)
{
        for (int64_t i = 0; i < count_of(op, c); i++) {
                double y = tanh(c->x[0][i]);
                c->dx[0][i] = c->dy[i] * (1 - y * y);
        }
}

const struct ref_op ref_relu = {relu_forward, relu_backward};
const struct ref_op ref_sigmoid = {sigmoid_forward, sigmoid_backward};
const struct ref_op ref_tanh = {tanh_forward, tanh_backward};
