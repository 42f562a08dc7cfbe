#include "ops/activation.h"
#include "ops/elementwise.h"
#include "ops/kinds.h"
#include "ref/ref.h"

/* What is no epilogue, behind enum op_activation; in the order of kernels/activation.cl. */
enum { LEAKY_RELU = OP_TANH + 1, RELU6, SILU, GELU, GELU_TANH };

static int run_forward(const struct op_call *c, int which, double slope, struct err *e)
{
        struct launch l = elementwise_begin(c, "activation_forward", "activation_forward_tiled");
        launch_tensor(&l, &c->x[0]);
        launch_tensor(&l, &c->y);
        launch_int(&l, elementwise_count(c));
        launch_int(&l, which);
        launch_float(&l, (float)slope);
        return elementwise_run(&l, c, e);
}

static int run_backward(const struct op_call *c, int which, double slope, struct err *e)
{
        if (!c->dx[0].at.buf)
                return 0;
        struct launch l = elementwise_begin(c, "activation_backward", "activation_backward_tiled");
        launch_tensor(&l, which >= SILU ? &c->x[0] : &c->y);
        launch_tensor(&l, &c->dy);
        launch_tensor(&l, &c->dx[0]);
        launch_int(&l, elementwise_count(c));
        launch_int(&l, which);
        launch_float(&l, (float)slope);
        launch_int(&l, c->accumulate_dx[0]);
        return elementwise_run(&l, c, e);
}

static const struct op_field no_fields[] = {{0}};
static const struct op_example examples[] = {{NULL, {3, 5, 7}, 19}, {NULL, {2, 17, 9}, 3}, {0}};

#define ACTIVATION(NAME, WHICH, DOC)                                                                         \
        static int NAME##_forward(const struct op *op, const struct op_call *c, struct err *e)               \
        {                                                                                                    \
                (void)op;                                                                                    \
                return run_forward(c, WHICH, 0, e);                                                          \
        }                                                                                                    \
        static int NAME##_backward(const struct op *op, const struct op_call *c, struct err *e)              \
        {                                                                                                    \
                (void)op;                                                                                    \
                return run_backward(c, WHICH, 0, e);                                                         \
        }                                                                                                    \
        const struct op_kind op_##NAME = {                                                                   \
                .type = #NAME,                                                                               \
                .doc = DOC,                                                                                  \
                .fields = no_fields,                                                                         \
                .num_inputs = 1,                                                                             \
                .backward_reads = OP_READS_Y,                                                                \
                .in_place = true,                                                                            \
                .activation = WHICH,                                                                         \
                .shape = elementwise_shape,                                                                  \
                .flops = elementwise_flops,                                                                  \
                .forward = NAME##_forward,                                                                   \
                .backward = NAME##_backward,                                                                 \
                .ref = &ref_##NAME,                                                                          \
                .examples = examples,                                                                        \
        };

ACTIVATION(relu, OP_RELU, "max(x, 0)")
ACTIVATION(sigmoid, OP_SIGMOID, "1 / (1 + exp(-x))")
ACTIVATION(tanh, OP_TANH, "hyperbolic tangent")

static double slope_of(const struct op *op)
{
        const struct leaky_relu_args *a = op->args;
        return a->negative_slope;
}

static int leaky_relu_forward(const struct op *op, const struct op_call *c, struct err *e)
{
        return run_forward(c, LEAKY_RELU, slope_of(op), e);
}

static int leaky_relu_backward(const struct op *op, const struct op_call *c, struct err *e)
{
        return run_backward(c, LEAKY_RELU, slope_of(op), e);
}

static const struct op_field leaky_relu_fields[] = {
        {"negative_slope", OP_NUMBER, offsetof(struct leaky_relu_args, negative_slope), false, 0.01, 0, 1,
                NULL},
        {0},
};

static const struct op_example leaky_relu_examples[] = {
        {NULL, {3, 5, 7}, 19},
        {&(const struct leaky_relu_args){0.3}, {2, 17, 9}, 3},
        {0},
};

const struct op_kind op_leaky_relu = {
        .type = "leaky_relu",
        .doc = "x, or negative_slope * x where that is below 0",
        .args_bytes = sizeof(struct leaky_relu_args),
        .fields = leaky_relu_fields,
        .num_inputs = 1,
        .backward_reads = OP_READS_Y,
        .in_place = true,
        .shape = elementwise_shape,
        .flops = elementwise_flops,
        .forward = leaky_relu_forward,
        .backward = leaky_relu_backward,
        .ref = &ref_leaky_relu,
        .examples = leaky_relu_examples,
};

static int relu6_forward(const struct op *op, const struct op_call *c, struct err *e)
{
        (void)op;
        return run_forward(c, RELU6, 0, e);
}

static int relu6_backward(const struct op *op, const struct op_call *c, struct err *e)
{
        (void)op;
        return run_backward(c, RELU6, 0, e);
}

const struct op_kind op_relu6 = {
        .type = "relu6",
        .doc = "min(max(x, 0), 6)",
        .fields = no_fields,
        .num_inputs = 1,
        .backward_reads = OP_READS_Y,
        .in_place = true,
        .shape = elementwise_shape,
        .flops = elementwise_flops,
        .forward = relu6_forward,
        .backward = relu6_backward,
        .ref = &ref_relu6,
        .examples = examples,
};

static int silu_forward(const struct op *op, const struct op_call *c, struct err *e)
{
        (void)op;
        return run_forward(c, SILU, 0, e);
}

static int silu_backward(const struct op *op, const struct op_call *c, struct err *e)
{
        (void)op;
        return run_backward(c, SILU, 0, e);
}

const struct op_kind op_silu = {
        .type = "silu",
        .doc = "x / (1 + exp(-x))",
        .fields = no_fields,
        .num_inputs = 1,
        .backward_reads = OP_READS_X, /* two x have one y */
        .forward_in_place = true,
        .shape = elementwise_shape,
        .flops = elementwise_flops,
        .forward = silu_forward,
        .backward = silu_backward,
        .ref = &ref_silu,
        .examples = examples,
};

static int form_of(const struct op *op)
{
        const struct gelu_args *a = op->args;
        return a->approximate == GELU_FORM_TANH ? GELU_TANH : GELU;
}

static int gelu_forward(const struct op *op, const struct op_call *c, struct err *e)
{
        return run_forward(c, form_of(op), 0, e);
}

static int gelu_backward(const struct op *op, const struct op_call *c, struct err *e)
{
        return run_backward(c, form_of(op), 0, e);
}

static const struct op_field gelu_fields[] = {
        {"approximate", OP_CHOICE, offsetof(struct gelu_args, approximate), false, GELU_FORM_ERF, 0, 0,
                "none tanh"},
        {0},
};

static const struct op_example gelu_examples[] = {
        {NULL, {3, 5, 7}, 19},
        {&(const struct gelu_args){GELU_FORM_TANH}, {2, 17, 9}, 3},
        {0},
};

const struct op_kind op_gelu = {
        .type = "gelu",
        .doc = "x * (1 + erf(x / sqrt(2))) / 2; \"tanh\": x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * "
               "x^3))) / 2",
        .args_bytes = sizeof(struct gelu_args),
        .fields = gelu_fields,
        .num_inputs = 1,
        .backward_reads = OP_READS_X, /* two x have one y */
        .forward_in_place = true,
        .shape = elementwise_shape,
        .flops = elementwise_flops,
        .forward = gelu_forward,
        .backward = gelu_backward,
        .ref = &ref_gelu,
        .examples = gelu_examples,
};
