/* What follows a layer in an ONNX graph. */
#include "train/exporting.h"

#include "ops/activation.h"
#include "ops/kinds.h"

#include <stdio.h>

void exporting_activation(struct exporting *x, const struct net_node *node)
{
        static const char *const types[] = {[OP_RELU] = "Relu", [OP_SIGMOID] = "Sigmoid", [OP_TANH] = "Tanh"};
        const struct exporting_edge *from = &x->edges[node->inputs[0]];
        exporting_simple(x, types[node->op->kind->activation], node->name, from->name,
                exporting_result(x, node, from->rank));
}

void exporting_leaky_relu(struct exporting *x, const struct net_node *node)
{
        const struct leaky_relu_args *a = node->op->args;
        const struct exporting_edge *from = &x->edges[node->inputs[0]];
        struct onnx_node n =
                onnx_begin("LeakyRelu", node->name, from->name, exporting_result(x, node, from->rank));
        onnx_float(&n, "alpha", (float)a->negative_slope);
        onnx_end(x->o, &n);
}

/* One operator of those that stand for a layer: of two tensors, or of one where `right` is NULL. `ret` is the
   name of what it gives. */
static void step(
        struct exporting *x, const char *type, const char *left, const char *right, char ret[EXPORTING_NAME])
{
        char inputs[2 * EXPORTING_NAME + 1];
        exporting_invent(x, ret);
        snprintf(inputs, sizeof inputs, "%s%s%s", left, right ? " " : "", right ? right : "");
        exporting_simple(x, type, ret, inputs, ret);
}

void exporting_relu6(struct exporting *x, const struct net_node *node)
{
        const struct exporting_edge *from = &x->edges[node->inputs[0]];
        char least[EXPORTING_NAME], most[EXPORTING_NAME], inputs[3 * EXPORTING_NAME];
        exporting_floats(x, NULL, 0, (float[]){0}, least);
        exporting_floats(x, NULL, 0, (float[]){6}, most);
        snprintf(inputs, sizeof inputs, "%s %s %s", from->name, least, most);
        exporting_simple(x, "Clip", node->name, inputs, exporting_result(x, node, from->rank));
}

/* ONNX has an operator for it from version 24 of them on. */
void exporting_silu(struct exporting *x, const struct net_node *node)
{
        const struct exporting_edge *from = &x->edges[node->inputs[0]];
        char gate[EXPORTING_NAME], inputs[2 * EXPORTING_NAME + 1];
        step(x, "Sigmoid", from->name, NULL, gate);
        snprintf(inputs, sizeof inputs, "%s %s", from->name, gate);
        exporting_simple(x, "Mul", node->name, inputs, exporting_result(x, node, from->rank));
}

static void step_by(
        struct exporting *x, const char *type, const char *left, float number, char ret[EXPORTING_NAME])
{
        char constant[EXPORTING_NAME];
        exporting_floats(x, (int[]){1}, 1, &number, constant);
        step(x, type, left, constant, ret);
}

/* ONNX has an operator for it from version 20 of them on. By erf it is written as PyTorch writes it, which
   engines know; by tanh as x times a sigmoid, which is the same. */
void exporting_gelu(struct exporting *x, const struct net_node *node)
{
        const struct gelu_args *a = node->op->args;
        const struct exporting_edge *from = &x->edges[node->inputs[0]];
        char v[5][EXPORTING_NAME], inputs[2 * EXPORTING_NAME + 1];
        if (a->approximate == GELU_FORM_TANH) {
                step(x, "Mul", from->name, from->name, v[0]);
                step_by(x, "Mul", v[0], 0.071354816f, v[1]);
                step_by(x, "Add", v[1], 1.5957691f, v[2]); /* 2 sqrt(2/pi) */
                step(x, "Mul", from->name, v[2], v[3]);
                step(x, "Sigmoid", v[3], NULL, v[4]);
                snprintf(inputs, sizeof inputs, "%s %s", from->name, v[4]);
        } else {
                step_by(x, "Div", from->name, 1.41421356f, v[0]);
                step(x, "Erf", v[0], NULL, v[1]);
                step_by(x, "Add", v[1], 1, v[2]);
                step(x, "Mul", from->name, v[2], v[3]);
                exporting_floats(x, (int[]){1}, 1, (float[]){0.5f}, v[4]);
                snprintf(inputs, sizeof inputs, "%s %s", v[3], v[4]);
        }
        exporting_simple(x, "Mul", node->name, inputs, exporting_result(x, node, from->rank));
}
