#include "ops/activation.h"
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

static double silu(double x)
{
        return x * sigmoid(x);
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

static void leaky_relu_forward(const struct op *op, const struct ref_call *c)
{
        const struct leaky_relu_args *a = op->args;
        for (int64_t i = 0; i < count_of(op, c); i++)
                c->y[i] = c->x[0][i] > 0 ? c->x[0][i] : a->negative_slope * c->x[0][i];
}

static void leaky_relu_backward(const struct op *op, const struct ref_call *c)
{
        const struct leaky_relu_args *a = op->args;
        for (int64_t i = 0; i < count_of(op, c); i++)
                c->dx[0][i] = c->x[0][i] > 0 ? c->dy[i] : a->negative_slope * c->dy[i];
}

static void relu6_forward(const struct op *op, const struct ref_call *c)
{
        for (int64_t i = 0; i < count_of(op, c); i++)
                c->y[i] = c->x[0][i] > 6 ? 6 : relu(c->x[0][i]);
}

static void relu6_backward(const struct op *op, const struct ref_call *c)
{
        for (int64_t i = 0; i < count_of(op, c); i++)
                c->dx[0][i] = c->x[0][i] <= 0 || c->x[0][i] >= 6 ? 0 : c->dy[i];
}

static void silu_forward(const struct op *op, const struct ref_call *c)
{
        for (int64_t i = 0; i < count_of(op, c); i++)
                c->y[i] = silu(c->x[0][i]);
}

static void silu_backward(const struct op *op, const struct ref_call *c)
{
        for (int64_t i = 0; i < count_of(op, c); i++) {
                const double x = c->x[0][i], s = sigmoid(x);
                c->dx[0][i] = c->dy[i] * s * (1 + x * (1 - s));
        }
}

/* D. Hendrycks, K. Gimpel, Gaussian error linear units, arXiv 1606.08415. */
static double normal(double x)
{
        return erfc(-x * M_SQRT1_2) / 2;
}

static double by_tanh(double x)
{
        return (1 + tanh(M_2_SQRTPI * M_SQRT1_2 * (x + 0.044715 * x * x * x))) / 2;
}

static bool is_by_tanh(const struct op *op)
{
        const struct gelu_args *a = op->args;
        return a->approximate == GELU_FORM_TANH;
}

static void gelu_forward(const struct op *op, const struct ref_call *c)
{
        for (int64_t i = 0; i < count_of(op, c); i++)
                c->y[i] = c->x[0][i] * (is_by_tanh(op) ? by_tanh(c->x[0][i]) : normal(c->x[0][i]));
}

static void gelu_backward(const struct op *op, const struct ref_call *c)
{
        const double root = M_2_SQRTPI * M_SQRT1_2; /* of 2/pi */
        for (int64_t i = 0; i < count_of(op, c); i++) {
                const double x = c->x[0][i], p = by_tanh(x);
                const double slope = is_by_tanh(op) ? 2 * p * (1 - p) * root * (1 + 3 * 0.044715 * x * x)
                                                    : root / 2 * exp(-x * x / 2);
                c->dx[0][i] = c->dy[i] * ((is_by_tanh(op) ? p : normal(x)) + x * slope);
        }
}

const struct ref_op ref_relu = {relu_forward, relu_backward};
const struct ref_op ref_sigmoid = {sigmoid_forward, sigmoid_backward};
const struct ref_op ref_tanh = {tanh_forward, tanh_backward};
const struct ref_op ref_relu6 = {relu6_forward, relu6_backward};
const struct ref_op ref_leaky_relu = {leaky_relu_forward, leaky_relu_backward};
const struct ref_op ref_silu = {silu_forward, silu_backward};
const struct ref_op ref_gelu = {gelu_forward, gelu_backward};
