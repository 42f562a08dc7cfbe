#include "ops/pool.h"
#include "ops/kinds.h"
#include "ref/ref.h"

#include <limits.h>
#include <math.h>

/* Vectors that a work-item of the tiled kernels writes at least. */
enum { LEAST_WORK = 256 };

/* As PyTorch counts: with ceil_mode the last window may reach beyond the padding, but not begin in it. */
static int windows(const struct pool_args *a, int side, int i)
{
        const int room = side + 2 * a->padding[i] - a->kernel_size[i], step = a->stride[i];
        if (!a->ceil_mode)
                return room < 0 ? 0 : room / step + 1;
        const int count = room <= -step ? 0 : (room + step - 1) / step + 1;
        return (count - 1) * step >= side + a->padding[i] ? count - 1 : count;
}

static int check_size(struct shape in, struct err *e)
{
        if (shape_count(in) > INT_MAX / TENSOR_MAX_LANES)
                return err_set(e, ERR_TOO_LARGE, "%dx%dx%d is more than a layer may have", in.c, in.h, in.w);
        return 0;
}

static int check(const struct pool_args *a, struct shape in, struct err *e)
{
        const int sides[2] = {in.h, in.w};
        for (int i = 0; i < 2; i++) {
                if (2 * a->padding[i] > a->kernel_size[i])
                        return err_at(e, ERR_INVALID, "/padding",
                                "padding %d is more than half of kernel_size %d", a->padding[i],
                                a->kernel_size[i]);
                if (windows(a, sides[i], i) < 1)
                        return err_at(e, ERR_INVALID, "/kernel_size",
                                "kernel_size %d is larger than the padded input %dx%d", a->kernel_size[i],
                                in.h + 2 * a->padding[0], in.w + 2 * a->padding[1]);
        }
        return check_size(in, e);
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
        op->out = (struct shape){in.c, windows(a, in.h, 0), windows(a, in.w, 1)};
        return check_size(op->out, e);
}

static void max_needs(
        const struct op *op, int n, int lanes, const struct dev_info *info, struct op_needs *ret)
{
        (void)info;
        ret->num_saved = 1;
        ret->saved[0] = tensor_floats(n, op->out, lanes);
}

static int adaptive_shape(struct op *op, struct err *e)
{
        const struct adaptive_pool_args *a = op->args;
        op->out = (struct shape){op->in[0].c, a->output_size[0], a->output_size[1]};
        int rc = check_size(op->in[0], e);
        return rc ? rc : check_size(op->out, e);
}

/* Every value of a window is added once. */
static int64_t adaptive_flops(const struct op *op)
{
        const int64_t rows = op_ceil_div(op->in[0].h, op->out.h),
                      columns = op_ceil_div(op->in[0].w, op->out.w);
        return shape_count(op->out) * rows * columns;
}

static int64_t pool_flops(const struct op *op)
{
        const struct pool_args *a = op->args;
        return shape_count(op->out) * a->kernel_size[0] * a->kernel_size[1];
}

static bool is_tiled(const struct op_call *c)
{
        return op_is_tiled(c) && c->y.lanes == 16;
}

/* Windows of an adaptive pool that are not all of one size. */
static bool is_uneven(const struct op *op)
{
        return op->kind == &op_adaptive_avg_pool2d &&
               (op->in[0].h % op->out.h != 0 || op->in[0].w % op->out.w != 0);
}

/* The windows as kernels/pool.cl wants them. */
static struct pool_args windows_of(const struct op *op)
{
        const struct shape x = op->in[0], y = op->out;
        if (op->kind != &op_adaptive_avg_pool2d)
                return *(const struct pool_args *)op->args;
        if (is_uneven(op))
                return (struct pool_args){.kernel_size = {x.h, x.w}, .stride = {y.h, y.w}};
        const int kh = x.h / y.h, kw = x.w / y.w;
        return (struct pool_args){.kernel_size = {kh, kw}, .stride = {kh, kw}, .count_include_pad = true};
}

static struct launch begin(const struct op *op, const struct op_call *c, const char *naive, const char *tiled)
{
        const bool wide = is_tiled(c) || op_item_width(c, c->y.lanes) > 1;
        const char *kernel = is_tiled(c) ? tiled : naive;
        char options[OP_OPTIONS];
        if (!is_uneven(op))
                return op_begin_layer(c->dev, c->y.lanes, wide, kernel);
        op_options(options, c->y.lanes, "-DTILED=%d -DADAPTIVE", wide);
        return launch_begin(c->dev, "pool", options, kernel);
}

/* Binds what ends every kernel's arguments, and runs over the floats of `out`. */
static int run(
        struct launch *l, const struct op *op, const struct op_call *c, struct shape out, struct err *e)
{
        const struct pool_args a = windows_of(op);
        const struct shape x = op->in[0], y = op->out;
        const size_t blocks = (size_t)tensor_blocks(&c->y);
        const int rows = (LEAST_WORK + out.w - 1) / out.w;
        const int geometry[] = {x.c, x.h, x.w, y.h, y.w, a.kernel_size[0], a.kernel_size[1], a.stride[0],
                a.stride[1], a.padding[0], a.padding[1]};
        if (is_tiled(c))
                launch_int(l, rows);
        for (size_t i = 0; i < sizeof geometry / sizeof geometry[0]; i++)
                launch_int(l, geometry[i]);
        if (is_tiled(c))
                return launch_grid(l, 3,
                        (size_t[]){(size_t)((out.h + rows - 1) / rows), (size_t)out.c, blocks},
                        (size_t[]){1, 1, 1}, e);
        const size_t items = (size_t)(c->y.lanes / op_item_width(c, c->y.lanes));
        return launch_over(l, 3, (size_t[]){(size_t)(out.h * out.w) * items, (size_t)out.c, blocks}, e);
}

/* Of kernels/pool_single.cl: the floats that a line takes. */
static int line_of(const struct op *op)
{
        const struct pool_args *a = op->args;
        const int windows = (op->out.w - 1) * a->stride[1] + a->kernel_size[1],
                  image = a->padding[1] + op->in[0].w;
        return windows > image ? windows : image;
}

static bool is_single(const struct op *op, const struct op_call *c)
{
        const struct dev_info *info = dev_info(c->dev);
        return op_is_tiled(c) && c->y.lanes == 1 && info->type == DEV_CPU && !c->saved[0].buf &&
               (uint64_t)line_of(op) * sizeof(float) <= info->local_bytes;
}

static int max_single(const struct op *op, const struct op_call *c, struct err *e)
{
        const struct pool_args *a = op->args;
        const struct shape x = op->in[0], y = op->out;
        const int rows = op_ceil_div(LEAST_WORK, y.w);
        char options[OP_OPTIONS];
        struct launch l = launch_begin(
                c->dev, "pool_single", op_options(options, 1, NULL), "max_pool2d_forward_single");
        launch_tensor(&l, &c->x[0]);
        launch_tensor(&l, &c->y);
        launch_ints(&l, rows, x.h, x.w, y.h, y.w, a->kernel_size[0], a->kernel_size[1], a->stride[0],
                a->stride[1], a->padding[0], a->padding[1], line_of(op));
        launch_local(&l, (size_t)line_of(op) * sizeof(float));
        const size_t grid[] = {(size_t)op_ceil_div(y.h, rows), (size_t)y.c, (size_t)c->y.n};
        return launch_grid(&l, 3, grid, (size_t[]){1, 1, 1}, e);
}

static int max_forward(const struct op *op, const struct op_call *c, struct err *e)
{
        const bool keep = c->saved[0].buf != NULL;
        if (is_single(op, c))
                return max_single(op, c, e);
        struct launch l = begin(op, c, "max_pool2d_forward", "max_pool2d_forward_tiled");
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
        struct launch l = begin(op, c, "max_pool2d_backward", "max_pool2d_backward_tiled");
        launch_tensor(&l, &c->dy);
        launch_tensor(&l, &c->dx[0]);
        launch_view(&l, &c->saved[0]);
        launch_int(&l, c->accumulate_dx[0]);
        return run(&l, op, c, op->in[0], e);
}

static int avg_forward(const struct op *op, const struct op_call *c, struct err *e)
{
        struct launch l = begin(op, c, "avg_pool2d_forward", "avg_pool2d_forward_tiled");
        launch_tensor(&l, &c->x[0]);
        launch_tensor(&l, &c->y);
        launch_int(&l, windows_of(op).count_include_pad);
        return run(&l, op, c, op->out, e);
}

static int avg_backward(const struct op *op, const struct op_call *c, struct err *e)
{
        if (!c->dx[0].at.buf)
                return 0;
        struct launch l = begin(op, c, "avg_pool2d_backward", "avg_pool2d_backward_tiled");
        launch_tensor(&l, &c->dy);
        launch_tensor(&l, &c->dx[0]);
        launch_int(&l, windows_of(op).count_include_pad);
        launch_int(&l, c->accumulate_dx[0]);
        return run(&l, op, c, op->in[0], e);
}

#define COMMON_FIELDS                                                                                        \
        {"kernel_size", OP_PAIR, offsetof(struct pool_args, kernel_size), true, 0, 1, 1024, NULL},           \
                {"stride", OP_PAIR, offsetof(struct pool_args, stride), false, NAN, 1, 1024,                 \
                        NULL}, /* as kernel_size */                                                          \
        {                                                                                                    \
                "padding", OP_PAIR, offsetof(struct pool_args, padding), false, 0, 0, 512, NULL              \
        }

static const struct op_field max_fields[] = {COMMON_FIELDS,
        {"ceil_mode", OP_BOOL, offsetof(struct pool_args, ceil_mode), false, 0, 0, 1, NULL}, {0}};
static const struct op_field avg_fields[] = {COMMON_FIELDS,
        {"ceil_mode", OP_BOOL, offsetof(struct pool_args, ceil_mode), false, 0, 0, 1, NULL},
        {"count_include_pad", OP_BOOL, offsetof(struct pool_args, count_include_pad), false, 1, 0, 1, NULL},
        {0}};

static const struct op_example examples[] = {
        {&(const struct pool_args){{2, 2}, {0, 0}, {0, 0}, true, true}, {3, 5, 6}, 19},
        {&(const struct pool_args){{3, 2}, {2, 1}, {1, 1}, false, false}, {2, 7, 5}, 3},
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

static const struct op_field adaptive_fields[] = {
        {"output_size", OP_PAIR, offsetof(struct adaptive_pool_args, output_size), true, 0, 1, 1024, NULL},
        {0},
};

static const struct op_example adaptive_examples[] = {
        {&(const struct adaptive_pool_args){{3, 5}}, {2, 7, 4}, 19},
        {&(const struct adaptive_pool_args){{1, 1}}, {3, 5, 4}, 3},
        {0},
};

const struct op_kind op_adaptive_avg_pool2d = {
        .type = "adaptive_avg_pool2d",
        .doc = "the means of output_size windows that cover the input evenly; 1 is the global mean",
        .args_bytes = sizeof(struct adaptive_pool_args),
        .fields = adaptive_fields,
        .num_inputs = 1,
        .shape = adaptive_shape,
        .flops = adaptive_flops,
        .forward = avg_forward,
        .backward = avg_backward,
        .ref = &ref_adaptive_avg_pool2d,
        .examples = adaptive_examples,
};
