#include "ops/elementwise.h"
#include "ops/kinds.h"
#include "ref/ref.h"

static int run_forward(const struct op_call *c, enum op_activation which, struct err *e)
{
        struct launch l = elementwise_begin(c, "activation_forward", "activation_forward_tiled");
        launch_tensor(&l, &c->x[0]);
        launch_tensor(&l, &c->y);
        launch_int(&l, elementwise_count(c));
        launch_int(&l, (int)which);
        return elementwise_run(&l, c, e);
}

static int run_backward(const struct op_call *c, enum op_activation which, struct err *e)
{
        if (!c->dx[0].at.buf)
                return 0;
        struct launch l = elementwise_begin(c, "activation_backward", "activation_backward_tiled");
        launch_tensor(&l, &c->y);
        launch_tensor(&l, &c->dy);
        launch_tensor(&l, &c->dx[0]);
        launch_ints(&l, elementwise_count(c), (int)which, c->accumulate_dx[0]);
        return elementwise_run(&l, c, e);
}

static const struct op_field no_fields[] = {{0}};
static const struct op_example examples[] = {{NULL, {3, 5, 7}, 19}, {NULL, {2, 17, 9}, 3}, {0}};

#define ACTIVATION(NAME, WHICH, DOC)                                                                         \
        static int NAME##_forward(const struct op *op, const struct op_call *c, struct err *e)               \
        {                                                                                                    \
                (void)op;                                                                                    \
                return run_forward(c, WHICH, e);                                                             \
        }                                                                                                    \
        static int NAME##_backward(const struct op *op, const struct op_call *c, struct err *e)              \
        {                                                                                                    \
                (void)op;                                                                                    \
                return run_backward(c, WHICH, e);                                                            \
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
