#include "ops/pool.h"
#include "ops/kinds.h"
#include "ref/ref.h"

#include <limits.h>
#include <math.h>

/* Vectors that a work-item of the tiled kernels writes at least. */
enum { LEAST_WORK = 256 };

static int check(const struct pool_args *a, struct shape in, struct err *e)
{
        const int sides[2] = {in.h, in.w};
        for (int i = 0; i < 2; i++) {
                if (2 * a->padding[i] > a->kernel_size[i])
                        return err_at(e, ERR_INVALID, "/padding", "padding %d is more than half of kernel_size %d",
                                a->padding[i], a->kernel_size[i]);
                if (a->kernel_size[i] > sides[i] + 2 * a->padding[i])
                        return err_at(e, ERR_INVALID, "/kernel_size", "kernel_size %d is larger than the padded input %dx%d",
                                a->kernel_size[i], in.h + 2 * a->padding[0], in.w + 2 * a->padding[1]);
        }
        if (shape_count(in) > INT_MAX / TENSOR_MAX_LANES)
                return err_at(e, ERR_TOO_LARGE, "/kernel_size", "an input of %dx%dx%d is more than a layer may have", in.c,
                        in.h, in.w);
        return 0;
}

static int pool_shape(struct op *op, struct err *e)
{
        struct pool_args *a = op->args;
        const struct shape in = op->in[0];
        for (int i = 0; i < 2; i++)
                if (a->stride[i] == 0)
                        a->stride[i] = a->kernel_size[i];
        int rc = check(a, in, e);
        if (rc)
                return rc;
        op->out = (struct shape){in.c, (in.h + 2 * a->padding[0] - a->kernel_size[0]) / a->stride[0] + 1,
                (in.w + 2 * a->padding[1] - a->kernel_size[1]) / a->stride[1] + 1};
        return 0;
}

static void max_needs(const struct op *op, int n, int lanes, const struct dev_info *info, struct op_needs *ret)
{
        (void)info;
        ret->num_saved = 1;
        ret->saved[0] = tensor_floats(n, op->out, lanes);
}

static int64_t pool_flops(const struct op *op)
{
        const struct pool_args *a = op->args;
        return shape_count(op->out) * a->kernel_size[0] * a->kernel_size[1];
}

static bool is_tiled(const struct op_call *c)
{
        return c->variant == OP_TILED && c->y.lanes == 16;
}

static struct launch begin(const struct op_call *c, const char *naive, const char *tiled)
{
        char options[OP_OPTIONS];
        op_options(options, c->y.lanes, "-DTILED=%d", is_tiled(c));
        return launch_begin(c->dev, "pool", options, is_tiled(c) ? tiled : naive);
}

/* Binds what ends every kernel's arguments, and runs over the floats of `out`. */
static int run(struct launch *l, const struct op *op, const struct op_call *c, struct shape out, struct err *e)
{
        const struct pool_args *a = op->args;
        const struct shape x = op->in[0], y = op->out;
        const size_t blocks = (size_t)tensor_blocks(&c->y);
        const int rows = (LEAST_WORK + out.w - 1) / out.w;
        const int geometry[] = {x.h, x.w, y.h, y.w, a->kernel_size[0], a->kernel_size[1], a->stride[0], a->stride[1],
                a->padding[0], a->padding[1]};
        if (is_tiled(c))
                launch_int(l, rows);
        for (size_t i = 0; i < sizeof geometry / sizeof geometry[0]; i++)
                launch_int(l, geometry[i]);
        if (is_tiled(c))
                return launch_grid(l, 3, (size_t[]){(size_t)((out.h + rows - 1) / rows), (size_t)out.c, blocks},
                        (size_t[]){1, 1, 1}, e);
        return launch_over(l, 3,
                (size_t[]){(size_t)(out.h * out.w) * (size_t)c->y.lanes, (size_t)out.c, blocks}, e);
}

static int max_forward(const struct op *op, const struct op_call *c, struct err *e)
{
        const bool keep = c->saved[0].buf != NULL;
        struct launch l = begin(c, "max_pool2d_forward", "max_pool2d_forward_tiled");
        launch_tensor(&l, &c->x[0]);
        launch_tensor(&l, &c->y);
        launch_view(&l, keep ? &c->saved[0] : &c->y.at);
        launch_int(&l, keep);
        return run(&l, op, c, op->out, e);
}

static int max_backward(const struct op *op, const struct op_call *c, struct err *e)
{
        if (!c->dx[0].at.buf)
                return 0;
        struct launch l = begin(c, "max_pool2d_backward", "max_pool2d_backward_tiled");
        launch_tensor(&l, &c->dy);
        launch_tensor(&l, &c->dx[0]);
        launch_view(&l, &c->saved[0]);
        launch_int(&l, c->accumulate_dx[0]);
        return run(&l, op, c, op->in[0], e);
}

static int avg_forward(const struct op *op, const struct op_call *c, struct err *e)
{
        const struct pool_args *a = op->args;
        struct launch l = begin(c, "avg_pool2d_forward", "avg_pool2d_forward_tiled");
        launch_tensor(&l, &c->x[0]);
        launch_tensor(&l, &c->y);
        launch_int(&l, a->count_include_pad);
        return run(&l, op, c, op->out, e);
}

static int avg_backward(const struct op *op, const struct op_call *c, struct err *e)
{
        const struct pool_args *a = op->args;
        if (!c->dx[0].at.buf)
                return 0;
        struct launch l = begin(c, "avg_pool2d_backward", "avg_pool2d_backward_tiled");
        launch_tensor(&l, &c->dy);
        launch_tensor(&l, &c->dx[0]);
        launch_int(&l, a->count_include_pad);
        launch_int(&l, c->accumulate_dx[0]);
        return run(&l, op, c, op->in[0], e);
}

#define COMMON_FIELDS                                                                                        \
        {"kernel_size", OP_PAIR, offsetof(struct pool_args, kernel_size), true, 0, 1, 1024},                 \
                {"stride", OP_PAIR, offsetof(struct pool_args, stride), false, NAN, 1, 1024}, /* as kernel_size */ \
        {                                                                                                    \
                "padding", OP_PAIR, offsetof(struct pool_args, padding), false, 0, 0, 512                    \
        }

static const struct op_field max_fields[] = {COMMON_FIELDS, {0}};
static const struct op_field avg_fields[] = {COMMON_FIELDS,
        {"count_include_pad", OP_BOOL, offsetof(struct pool_args, count_include_pad), false, 1, 0, 1}, {0}};

static const struct op_example examples[] = {
        {&(const struct pool_args){{2, 2}, {0, 0}, {0, 0}, true}, {3, 5, 6}, 19},
        {&(const struct pool_args){{3, 2}, {2, 1}, {1, 1}, false}, {2, 7, 5}, 3},
        {0},
};

const struct op_kind op_max_pool2d = {
        .type = "max_pool2d",
        .doc = "the largest value of each window",
        .args_bytes = sizeof(struct pool_args),
        .fields = max_fields,
        .num_inputs = 1,
        .shape = pool_shape,
        .needs = max_needs,
        .flops = pool_flops,
        .forward = max_forward,
        .backward = max_backward,
        .ref = &ref_max_pool2d,
        .examples = examples,
};

const struct op_kind op_avg_pool2d = {
        .type = "avg_pool2d",
        .doc = "the mean of each window",
        .args_bytes = sizeof(struct pool_args),
        .fields = avg_fields,
        .num_inputs = 1,
        .shape = pool_shape,
        .flops = pool_flops,
        .forward = avg_forward,
        .backward = avg_backward,
        .ref = &ref_avg_pool2d,
        .examples = examples,
};
