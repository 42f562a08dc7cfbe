#include "ops/kinds.h"
#include "ref/ref.h"

/* Vectors that a work-item of the tiled kernels goes through. */
enum { CHUNK = 256 };

/* In the order of kernels/activation.cl. */
enum activation { RELU, SIGMOID, TANH };

/* Element-wise ops: y has x's shape; both may be one tensor. */
static int same_shape(struct op *op, struct err *e)
{
        (void)e;
        op->out = op->in[0];
        return 0;
}

static int64_t one_per_element(const struct op *op)
{
        return shape_count(op->out);
}

static bool is_tiled(const struct op_call *c)
{
        return c->variant == OP_TILED && c->y.lanes == 16;
}

static struct launch begin(const struct op_call *c, const char *naive, const char *tiled)
{
        char options[OP_OPTIONS];
        op_options(options, c->y.lanes, "-DTILED=%d -DCHUNK=%d", is_tiled(c), CHUNK);
        return launch_begin(c->dev, "activation", options, is_tiled(c) ? tiled : naive);
}

static int run(struct launch *l, const struct op_call *c, struct err *e)
{
        const size_t count = (size_t)shape_count(c->y.s) * (size_t)c->y.lanes, blocks = (size_t)tensor_blocks(&c->y);
        if (!is_tiled(c))
                return launch_over(l, 2, (size_t[]){count, blocks}, e);
        const size_t chunk = (size_t)CHUNK * (size_t)c->y.lanes;
        return launch_grid(l, 2, (size_t[]){(count + chunk - 1) / chunk, blocks}, (size_t[]){1, 1}, e);
}

static int run_forward(const struct op_call *c, enum activation which, struct err *e)
{
        struct launch l = begin(c, "activation_forward", "activation_forward_tiled");
        launch_tensor(&l, &c->x[0]);
        launch_tensor(&l, &c->y);
        launch_int(&l, (int)shape_count(c->y.s) * c->y.lanes);
        launch_int(&l, (int)which);
        return run(&l, c, e);
}

static int run_backward(const struct op_call *c, enum activation which, struct err *e)
{
        if (!c->dx[0].at.buf)
                return 0;
        struct launch l = begin(c, "activation_backward", "activation_backward_tiled");
        launch_tensor(&l, &c->y);
        launch_tensor(&l, &c->dy);
        launch_tensor(&l, &c->dx[0]);
        launch_int(&l, (int)shape_count(c->y.s) * c->y.lanes);
        launch_int(&l, (int)which);
        launch_int(&l, c->accumulate_dx[0]);
        return run(&l, c, e);
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
                .shape = same_shape,                                                                         \
                .flops = one_per_element,                                                                    \
                .forward = NAME##_forward,                                                                   \
                .backward = NAME##_backward,                                                                 \
                .ref = &ref_##NAME,                                                                          \
                .examples = examples,                                                                        \
        };

ACTIVATION(relu, RELU, "max(x, 0)")
ACTIVATION(sigmoid, SIGMOID, "1 / (1 + exp(-x))")
ACTIVATION(tanh, TANH, "hyperbolic tangent")
