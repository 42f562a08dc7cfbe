#include "ops/conv.h"
#include "ops/conv_local.h"
#include "ops/conv_single.h"
#include "ops/epilogue.h"
#include "ops/kinds.h"
#include "ref/ref.h"

#include <limits.h>

static int side_out(const struct conv_args *a, int axis, int in)
{
        return (in + 2 * a->padding[axis] - conv_reach(a, axis) - 1) / a->stride[axis] + 1;
}

int conv_padding_end(const struct op *op, int axis)
{
        const struct conv_args *a = op->args;
        const int in[2] = {op->in[0].h, op->in[0].w}, out[2] = {op->out.h, op->out.w};
        return a->stride[axis] == 1 ? out[axis] + conv_reach(a, axis) - in[axis] - a->padding[axis]
                                    : a->padding[axis];
}

static int check_groups(const struct op *op, const struct conv_args *a, struct err *e)
{
        const struct shape in = op->in[0];
        if (in.c % a->groups)
                return err_at(e, ERR_INVALID, "/groups", "%d input channels do not divide into %d groups",
                        in.c, a->groups);
        if (a->out_channels % a->groups)
                return err_at(e, ERR_INVALID, "/groups", "%d out_channels do not divide into %d groups",
                        a->out_channels, a->groups);
        return 0;
}

/* As PyTorch has it: what does not divide into two halves is more behind the image. */
enum { MOST_PADDING = 1024 };

static int pad_to_same(struct op *op, struct err *e)
{
        struct conv_args *a = op->args;
        if (a->stride[0] != 1 || a->stride[1] != 1)
                return err_at(e, ERR_INVALID, "/padding",
                        "padding \"same\" needs stride 1; with stride %dx%d give it as a number",
                        a->stride[0], a->stride[1]);
        for (int i = 0; i < 2; i++) {
                a->padding[i] = conv_reach(a, i) / 2;
                if (a->padding[i] > MOST_PADDING)
                        return err_at(e, ERR_INVALID, "/dilation",
                                "padding \"same\" would be %d, the most is %d", a->padding[i], MOST_PADDING);
        }
        op->out = (struct shape){a->out_channels, op->in[0].h, op->in[0].w};
        return 0;
}

static int pad_by_number(struct op *op, struct err *e)
{
        const struct conv_args *a = op->args;
        const struct shape in = op->in[0];
        const int h = in.h + 2 * a->padding[0], w = in.w + 2 * a->padding[1];
        if (conv_reach(a, 0) >= h || conv_reach(a, 1) >= w) {
                if (conv_is_dilated(a))
                        return err_at(e, ERR_INVALID, "/dilation",
                                "kernel_size %dx%d with dilation %dx%d, %dx%d pixels, is larger than the "
                                "padded input %dx%d",
                                a->kernel_size[0], a->kernel_size[1], a->dilation[0], a->dilation[1],
                                conv_reach(a, 0) + 1, conv_reach(a, 1) + 1, h, w);
                if (a->kernel_size[0] == a->kernel_size[1])
                        return err_at(e, ERR_INVALID, "/kernel_size",
                                "kernel_size %d is larger than the padded input %dx%d", a->kernel_size[0], h,
                                w);
                return err_at(e, ERR_INVALID, "/kernel_size",
                        "kernel_size %dx%d is larger than the padded input %dx%d", a->kernel_size[0],
                        a->kernel_size[1], h, w);
        }
        op->out = (struct shape){a->out_channels, side_out(a, 0, in.h), side_out(a, 1, in.w)};
        return 0;
}

/* Kernels count weights, and the floats of a block, in 32 bits. */
static int check_size(const struct op *op, int64_t weights, struct err *e)
{
        const int64_t most = INT_MAX / TENSOR_MAX_LANES;
        if (weights > INT_MAX)
                return err_at(e, ERR_TOO_LARGE, "/out_channels",
                        "%lld weights are more than a layer may have, %d", (long long)weights, INT_MAX);
        if (shape_count(op->out) > most || shape_count(op->in[0]) > most)
                return err_at(e, ERR_TOO_LARGE, "/out_channels",
                        "an output of %dx%dx%d is more than a layer may have", op->out.c, op->out.h,
                        op->out.w);
        return 0;
}

static int conv_shape(struct op *op, struct err *e)
{
        struct conv_args *a = op->args;
        const struct shape in = op->in[0];
        for (int i = 0; i < 2; i++)
                if (a->kernel_size[i] == 1)
                        a->dilation[i] = 1;
        int rc = check_groups(op, a, e);
        if (rc == 0)
                rc = a->padding[0] == OP_SAME ? pad_to_same(op, e) : pad_by_number(op, e);
        const int r = a->kernel_size[0], s = a->kernel_size[1], per_group = in.c / a->groups;
        if (rc == 0)
                rc = check_size(op, (int64_t)a->out_channels * per_group * r * s, e);
        if (rc)
                return rc;
        const int fan_in = per_group * r * s;
        const int64_t fan_out = (int64_t)a->out_channels * r * s;
        op->num_params = a->bias ? 2 : 1;
        op->params[0] = (struct op_param){.name = "weight",
                .ndim = 4,
                .dims = {a->out_channels, per_group, r, s},
                .fan_in = fan_in,
                .fan_out = fan_out > INT_MAX ? INT_MAX : (int)fan_out,
                .init = OP_INIT_WEIGHT,
                .trainable = true};
        op->params[1] = (struct op_param){.name = "bias",
                .ndim = 1,
                .dims = {a->out_channels},
                .fan_in = fan_in,
                .init = OP_INIT_BIAS,
                .trainable = true};
        return 0;
}

static int64_t conv_flops(const struct op *op)
{
        const struct conv_args *a = op->args;
        return shape_count(op->out) * (2 * (int64_t)op->params[0].fan_in + (a->bias ? 1 : 0));
}

void conv_geometry(struct launch *l, const struct op *op)
{
        const struct conv_args *a = op->args;
        launch_ints(l, op->in[0].c, op->in[0].h, op->in[0].w, op->out.c, op->out.h, op->out.w,
                a->kernel_size[0], a->kernel_size[1], a->stride[0], a->stride[1], a->padding[0],
                a->padding[1], a->dilation[0], a->dilation[1], a->groups);
}

static int forward_naive(const struct op *op, const struct op_call *c, struct err *e)
{
        const struct conv_args *a = op->args;
        char options[OP_OPTIONS];
        const int count = (int)shape_count(op->out) * c->y.lanes;
        struct launch l =
                launch_begin(c->dev, "conv", op_options(options, c->y.lanes, NULL), "conv_forward_naive");
        launch_tensor(&l, &c->x[0]);
        launch_view(&l, &c->params[0]);
        launch_view(&l, &c->params[a->bias ? 1 : 0]);
        launch_tensor(&l, &c->y);
        conv_geometry(&l, op);
        launch_int(&l, a->bias);
        launch_epilogue(&l, c);
        launch_int(&l, count);
        return launch_grid(&l, 2, (size_t[]){(size_t)count, (size_t)tensor_blocks(&c->y)}, NULL, e);
}

static int data_naive(const struct op *op, const struct op_call *c, struct err *e)
{
        char options[OP_OPTIONS];
        const int count = (int)shape_count(op->in[0]) * c->dy.lanes;
        struct launch l =
                launch_begin(c->dev, "conv", op_options(options, c->dy.lanes, NULL), "conv_data_naive");
        launch_view(&l, &c->params[0]);
        launch_tensor(&l, &c->dy);
        launch_tensor(&l, &c->dx[0]);
        conv_geometry(&l, op);
        launch_int(&l, c->accumulate_dx[0]);
        launch_int(&l, count);
        return launch_grid(&l, 2, (size_t[]){(size_t)count, (size_t)tensor_blocks(&c->dy)}, NULL, e);
}

static int weights_naive(const struct op *op, const struct op_call *c, struct err *e)
{
        char options[OP_OPTIONS];
        struct launch l =
                launch_begin(c->dev, "conv", op_options(options, c->dy.lanes, NULL), "conv_weights_naive");
        launch_tensor(&l, &c->x[0]);
        launch_tensor(&l, &c->dy);
        launch_view(&l, &c->dparams[0]);
        conv_geometry(&l, op);
        launch_int(&l, c->dy.n);
        launch_int(&l, c->accumulate_dparams);
        return launch_grid(&l, 1, (size_t[]){(size_t)op_param_count(&op->params[0])}, NULL, e);
}

static int bias_naive(const struct op *op, const struct op_call *c, struct err *e)
{
        char options[OP_OPTIONS];
        struct launch l =
                launch_begin(c->dev, "conv", op_options(options, c->dy.lanes, NULL), "conv_bias_naive");
        launch_tensor(&l, &c->dy);
        launch_view(&l, &c->dparams[1]);
        conv_geometry(&l, op);
        launch_int(&l, c->dy.n);
        launch_int(&l, c->accumulate_dparams);
        return launch_grid(&l, 1, (size_t[]){(size_t)op->out.c}, NULL, e);
}

/* Winograd's tiles are of pixels that stand side by side: dilated layers take all the others. */
static unsigned conv_variants(
        const struct op *op, enum op_direction direction, int lanes, const struct dev_info *info)
{
        const bool weights = direction == OP_WEIGHTS;
        unsigned set = 1u << OP_NAIVE;
        if (lanes == CONV_LOCAL_LANES && conv_local_fits(info) &&
                (direction != OP_DATA || conv_local_data_fits(op)))
                set |= 1u << OP_TILED;
        if (lanes == CONV_LOCAL_LANES && conv_winograd_local_fits(op, info))
                set |= 1u << OP_WINOGRAD;
        if (conv_clblast_fits(op, lanes, info))
                set |= 1u << OP_CLBLAST;
        if (lanes == 1 && direction == OP_FORWARD && conv_single_fits(op, info))
                set |= 1u << OP_TILED;
        if (lanes != CONV_LANES)
                return set;
        if (weights ? conv_weights_fits(op, info) : conv_tiled_fits(op, info))
                set |= 1u << OP_TILED;
        if (weights ? conv_winograd_weights_fits(op, info) : conv_winograd_fits(op, info))
                set |= 1u << OP_WINOGRAD;
        return set;
}

/* Winograd's kernels are compiled for the number of taps, and for a device. */
static bool conv_same_programs(const struct op *a, const struct op *b, enum op_variant v)
{
        const struct conv_args *x = a->args, *y = b->args;
        const int *k = x->kernel_size, *l = y->kernel_size;
        return v == OP_WINOGRAD && k[0] == l[0] && k[1] == l[1] && y->stride[0] == 1 && y->stride[1] == 1 &&
               !conv_is_dilated(y);
}

/* Products of vectors that one core forms, tap by tap; the kernels reach nine tenths of what it can do. */
static double tiled_cost(const struct op *op, int blocks, const struct dev_info *info)
{
        return (double)shape_count(op->out) * op->params[0].fan_in * blocks / 0.9 / info->compute_units;
}

static enum op_variant conv_prefer(
        const struct op *op, enum op_direction direction, int n, int lanes, const struct dev_info *info)
{
        const unsigned set = conv_variants(op, direction, lanes, info);
        const int blocks = op_ceil_div(n, lanes);
        if (!(set & 1u << OP_TILED))
                return OP_NAIVE;
        if (!(set & 1u << OP_WINOGRAD) || lanes != CONV_LANES) /* what GPUs gain is only measured */
                return OP_TILED;
        const double cost = direction == OP_WEIGHTS
                                    ? conv_winograd_weights_cost(op, blocks, info)
                                    : conv_winograd_cost(op, direction == OP_DATA, blocks, info);
        return cost < tiled_cost(op, blocks, info) ? OP_WINOGRAD : OP_TILED;
}

static int forward_tiled(const struct op *op, const struct op_call *c, struct err *e)
{
        switch (c->y.lanes) {
        case 1:
                return conv_single_forward(op, c, e);
        case CONV_LANES:
                return conv_tiled_forward(op, c, e);
        default:
                return conv_local_forward(op, c, e);
        }
}

static int conv_forward(const struct op *op, const struct op_call *c, struct err *e)
{
        switch (op_variant_of(op, c, OP_FORWARD)) {
        case OP_CLBLAST:
                return conv_clblast_forward(op, c, e);
        case OP_WINOGRAD:
                return c->y.lanes == CONV_LANES ? conv_winograd_forward(op, c, e)
                                                : conv_winograd_local_forward(op, c, e);
        case OP_TILED:
                return forward_tiled(op, c, e);
        default:
                return forward_naive(op, c, e);
        }
}

static int backward_data(const struct op *op, const struct op_call *c, struct err *e)
{
        switch (op_variant_of(op, c, OP_DATA)) {
        case OP_CLBLAST:
                return conv_clblast_data(op, c, e);
        case OP_WINOGRAD:
                return c->dy.lanes == CONV_LANES ? conv_winograd_data(op, c, e)
                                                 : conv_winograd_local_data(op, c, e);
        case OP_TILED:
                return c->dy.lanes == CONV_LANES ? conv_tiled_data(op, c, e) : conv_local_data(op, c, e);
        default:
                return data_naive(op, c, e);
        }
}

static int backward_weights(const struct op *op, const struct op_call *c, struct err *e)
{
        const enum op_variant v = op_variant_of(op, c, OP_WEIGHTS);
        switch (v) {
        case OP_WINOGRAD:
                return c->dy.lanes == CONV_LANES ? conv_winograd_weights(op, c, e)
                                                 : conv_winograd_local_weights(op, c, e);
        case OP_TILED:
                return c->dy.lanes == CONV_LANES ? conv_weights_run(op, c, e) : conv_local_weights(op, c, e);
        default:
                break;
        }
        const int rc = v == OP_CLBLAST ? conv_clblast_weights(op, c, e) : weights_naive(op, c, e);
        if (rc || op->num_params < 2 || !c->dparams[1].buf)
                return rc;
        return v == OP_CLBLAST && c->dy.lanes == CONV_LOCAL_LANES && conv_local_fits(dev_info(c->dev))
                       ? conv_local_bias(op, c, e)
                       : bias_naive(op, c, e);
}

static int conv_backward(const struct op *op, const struct op_call *c, struct err *e)
{
        const int rc = c->dx[0].at.buf ? backward_data(op, c, e) : 0;
        return rc == 0 && c->dparams[0].buf ? backward_weights(op, c, e) : rc;
}

static uint64_t larger(uint64_t a, uint64_t b)
{
        return a > b ? a : b;
}

/* Of the variant that takes most: the plan's bytes do not depend on what is chosen. */
static void conv_needs(
        const struct op *op, int n, int lanes, const struct dev_info *info, struct op_needs *ret)
{
        const int blocks = op_ceil_div(n, lanes);
        if (lanes == CONV_LOCAL_LANES && conv_local_fits(info))
                conv_local_needs(op, n, info, ret);
        if (lanes == CONV_LOCAL_LANES && conv_winograd_local_fits(op, info)) {
                ret->workspace_forward =
                        larger(ret->workspace_forward, conv_winograd_local_floats(op, OP_FORWARD, n, info));
                for (int d = OP_DATA; d < OP_DIRECTIONS; d++)
                        ret->workspace_backward = larger(ret->workspace_backward,
                                conv_winograd_local_floats(op, (enum op_direction)d, n, info));
        }
        if (conv_clblast_fits(op, lanes, info)) {
                const uint64_t floats = conv_clblast_floats(op, lanes, info);
                ret->workspace_forward = larger(ret->workspace_forward, floats);
                ret->workspace_backward = larger(ret->workspace_backward, floats);
        }
        if (lanes == 1 && conv_single_fits(op, info))
                ret->workspace_forward = conv_single_floats(op, n, info);
        if (lanes != CONV_LANES)
                return;
        ret->packs_params = true;
        if (conv_tiled_fits(op, info)) {
                ret->workspace_forward = larger(ret->workspace_forward, conv_tiled_forward_floats(op, info));
                ret->workspace_backward = larger(ret->workspace_backward, conv_tiled_data_floats(op, info));
        }
        if (conv_weights_fits(op, info))
                ret->workspace_backward =
                        larger(ret->workspace_backward, conv_weights_floats(op, blocks, info));
        if (conv_winograd_fits(op, info)) {
                ret->workspace_forward =
                        larger(ret->workspace_forward, conv_winograd_floats(op, false, info));
                ret->workspace_backward =
                        larger(ret->workspace_backward, conv_winograd_floats(op, true, info));
        }
        if (conv_winograd_weights_fits(op, info))
                ret->workspace_backward =
                        larger(ret->workspace_backward, conv_winograd_weights_floats(op, blocks, info));
}

static const struct op_field conv_fields[] = {
        {"out_channels", OP_INT, offsetof(struct conv_args, out_channels), true, 0, 1, 65536, NULL},
        {"kernel_size", OP_PAIR, offsetof(struct conv_args, kernel_size), true, 0, 1, 1024, NULL},
        {"stride", OP_PAIR, offsetof(struct conv_args, stride), false, 1, 1, 1024, NULL},
        {"padding", OP_PADDING, offsetof(struct conv_args, padding), false, 0, 0, MOST_PADDING, NULL},
        {"dilation", OP_PAIR, offsetof(struct conv_args, dilation), false, 1, 1, 1024, NULL},
        {"groups", OP_INT, offsetof(struct conv_args, groups), false, 1, 1, 65536, NULL},
        {"bias", OP_BOOL, offsetof(struct conv_args, bias), false, 1, 0, 1, NULL},
        {0},
};

/* Their tiles are those of most layers, so that what they compile serves a first job as well. */
static const struct op_example conv_examples[] = {
        {&(const struct conv_args){8, {3, 3}, {1, 1}, {1, 1}, {1, 1}, 1, true}, {2, 6, 5}, 19},
        {&(const struct conv_args){14, {2, 3}, {2, 1}, {0, 1}, {1, 1}, 2, false}, {4, 7, 5}, 3},
        {&(const struct conv_args){4, {5, 5}, {1, 1}, {1, 2}, {1, 1}, 1, true}, {1, 5, 6}, 2},
        {&(const struct conv_args){8, {3, 3}, {1, 1}, {1, 2}, {3, 6}, 1, true}, {2, 6, 13}, 3},
        {0},
};

/* LeNet's first layer, whose tiles many others have; the other usual tiles of conv_tile. */
static const struct op_example conv_likely_examples[] = {
        {&(const struct conv_args){6, {5, 5}, {1, 1}, {0, 0}, {1, 1}, 1, true}, {1, 6, 6}, 2},
        {&(const struct conv_args){13, {1, 1}, {1, 1}, {0, 0}, {1, 1}, 1, true}, {3, 2, 3}, 2},
        {&(const struct conv_args){12, {1, 1}, {1, 1}, {0, 0}, {1, 1}, 1, true}, {3, 2, 3}, 2},
        {0},
};

/* Panels, and few pixels. */
static const struct op_example conv_single_examples[] = {
        {&(const struct conv_args){18, {1, 1}, {1, 1}, {0, 0}, {1, 1}, 1, true}, {3, 7, 8}, 2},
        {&(const struct conv_args){9, {3, 3}, {1, 1}, {1, 1}, {1, 1}, 1, true}, {9, 2, 3}, 2},
        {0},
};

const struct op_kind op_conv2d = {
        .type = "conv2d",
        .doc = "2-D convolution (cross-correlation, as in PyTorch)",
        .args_bytes = sizeof(struct conv_args),
        .fields = conv_fields,
        .num_inputs = 1,
        .backward_reads = OP_READS_X,
        .epilogues = OP_TAKES_NORM | OP_TAKES_ACTIVATION,
        .shape = conv_shape,
        .needs = conv_needs,
        .variants = conv_variants,
        .prefer = conv_prefer,
        .same_programs = conv_same_programs,
        .flops = conv_flops,
        .forward = conv_forward,
        .backward = conv_backward,
        .ref = &ref_conv2d,
        .examples = conv_examples,
        .single_examples = conv_single_examples,
        .likely_examples = conv_likely_examples,
};
