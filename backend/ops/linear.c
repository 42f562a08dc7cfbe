#include "ops/linear.h"
#include "ops/conv.h"
#include "ops/conv_local.h"
#include "ops/epilogue.h"
#include "ops/kinds.h"
#include "ref/ref.h"

#include <limits.h>

static int linear_shape(struct op *op, struct err *e)
{
        const struct linear_args *a = op->args;
        const struct shape in = op->in[0];
        if (in.h != 1 || in.w != 1)
                return err_at(e, ERR_INVALID, "/type",
                        "linear takes features, but its input is %dx%dx%d: put a flatten layer before it",
                        in.c, in.h, in.w);
        if ((int64_t)in.c * a->out_features > INT_MAX)
                return err_at(e, ERR_TOO_LARGE, "/out_features",
                        "%lld weights are more than a layer may have, %d", (long long)in.c * a->out_features,
                        INT_MAX);
        op->out = (struct shape){a->out_features, 1, 1};
        op->num_params = a->bias ? 2 : 1;
        op->params[0] = (struct op_param){.name = "weight",
                .ndim = 2,
                .dims = {a->out_features, in.c},
                .fan_in = in.c,
                .fan_out = a->out_features,
                .init = OP_INIT_WEIGHT,
                .trainable = true};
        op->params[1] = (struct op_param){.name = "bias",
                .ndim = 1,
                .dims = {a->out_features},
                .fan_in = in.c,
                .init = OP_INIT_BIAS,
                .trainable = true};
        return 0;
}

static int64_t linear_flops(const struct op *op)
{
        const struct linear_args *a = op->args;
        return (int64_t)op->out.c * (2 * (int64_t)op->in[0].c + (a->bias ? 1 : 0));
}

static int forward_naive(const struct op *op, const struct op_call *c, struct err *e)
{
        const struct linear_args *a = op->args;
        char options[OP_OPTIONS];
        struct launch l =
                launch_begin(c->dev, "linear", op_options(options, c->y.lanes, NULL), "linear_forward_naive");
        launch_tensor(&l, &c->x[0]);
        launch_view(&l, &c->params[0]);
        launch_view(&l, &c->params[a->bias ? 1 : 0]);
        launch_tensor(&l, &c->y);
        launch_ints(&l, op->in[0].c, op->out.c, a->bias);
        launch_epilogue(&l, c);
        const size_t floats = (size_t)op->out.c * (size_t)c->y.lanes;
        return launch_grid(&l, 2, (size_t[]){floats, (size_t)tensor_blocks(&c->y)}, NULL, e);
}

static int data_naive(const struct op *op, const struct op_call *c, struct err *e)
{
        char options[OP_OPTIONS];
        struct launch l =
                launch_begin(c->dev, "linear", op_options(options, c->dy.lanes, NULL), "linear_data_naive");
        launch_view(&l, &c->params[0]);
        launch_tensor(&l, &c->dy);
        launch_tensor(&l, &c->dx[0]);
        launch_ints(&l, op->in[0].c, op->out.c, c->accumulate_dx[0]);
        const size_t floats = (size_t)op->in[0].c * (size_t)c->dy.lanes;
        return launch_grid(&l, 2, (size_t[]){floats, (size_t)tensor_blocks(&c->dy)}, NULL, e);
}

static int weights_naive(const struct op *op, const struct op_call *c, struct err *e)
{
        char options[OP_OPTIONS];
        struct launch l = launch_begin(
                c->dev, "linear", op_options(options, c->dy.lanes, NULL), "linear_weights_naive");
        launch_tensor(&l, &c->x[0]);
        launch_tensor(&l, &c->dy);
        launch_view(&l, &c->dparams[0]);
        launch_ints(&l, op->in[0].c, c->dy.n, c->accumulate_dparams);
        return launch_grid(&l, 1, (size_t[]){(size_t)op_param_count(&op->params[0])}, NULL, e);
}

static int bias_naive(const struct op *op, const struct op_call *c, struct err *e)
{
        char options[OP_OPTIONS];
        struct launch l =
                launch_begin(c->dev, "linear", op_options(options, c->dy.lanes, NULL), "linear_bias_naive");
        launch_tensor(&l, &c->dy);
        launch_view(&l, &c->dparams[1]);
        launch_int(&l, c->dy.n);
        launch_int(&l, c->accumulate_dparams);
        return launch_grid(&l, 1, (size_t[]){(size_t)op->out.c}, NULL, e);
}

/* Of kernels/linear_tiled.cl. Weights of a work-group that stay in the second cache; inputs or outputs of a
   pass whose samples stay in the first; work-groups that keep all cores busy to the end. */
enum { STRIP = 64, WEIGHTS_FLOATS = 32 * 1024, CHUNK = 256, GROUPS_PER_UNIT = 4 };

/* Blocks whose inputs linear_weights_tiled turns in local memory at once. */
static int strip_blocks(const struct dev_info *info)
{
        const uint64_t fit = info->local_bytes / (16 * STRIP * sizeof(float));
        return fit < 16 ? (int)fit : 16;
}

static bool tiled_fits(int lanes, const struct dev_info *info)
{
        return lanes == 16 && strip_blocks(info) > 0;
}

/* Sums in registers: two thirds of 16 registers, 12 of 32. */
static int tile_of(const struct dev_info *info)
{
        return info->native_width >= 16 ? 12 : info->native_width == 8 ? 6 : 3;
}

static struct launch begin_tiled(const struct op_call *c, const char *kernel)
{
        char options[OP_OPTIONS];
        return launch_begin(c->dev, "linear_tiled",
                op_options(options, 16, "-DTILE=%d", tile_of(dev_info(c->dev))), kernel);
}

/* Cuts `blocks` into as many shares as keep the device busy beside `columns` other work-groups. */
static int share_of(const struct op_call *c, int blocks, int columns)
{
        const int wanted = op_ceil_div(GROUPS_PER_UNIT * dev_info(c->dev)->compute_units, columns);
        return op_ceil_div(blocks, wanted < blocks ? wanted : blocks);
}

static int least(int a, int b)
{
        return a < b ? a : b;
}

static int forward_tiled(const struct op *op, const struct op_call *c, struct err *e)
{
        const struct linear_args *a = op->args;
        const int outs = op->out.c, blocks = tensor_blocks(&c->y), tile = tile_of(dev_info(c->dev));
        const int chunk = least(op->in[0].c, CHUNK),
                  range = least(outs, WEIGHTS_FLOATS / chunk / tile * tile);
        const int ranges = op_ceil_div(outs, range), share = share_of(c, blocks, ranges);
        struct launch l = begin_tiled(c, "linear_forward_tiled");
        launch_tensor(&l, &c->x[0]);
        launch_view(&l, &c->params[0]);
        launch_view(&l, &c->params[a->bias ? 1 : 0]);
        launch_tensor(&l, &c->y);
        launch_ints(&l, op->in[0].c, outs, blocks, a->bias, range, share, chunk);
        launch_epilogue(&l, c);
        return launch_grid(
                &l, 2, (size_t[]){(size_t)ranges, (size_t)op_ceil_div(blocks, share)}, (size_t[]){1, 1}, e);
}

/* Of kernels/linear_single.cl: outputs that it computes at a time. */
enum { SINGLE_TILE = 8 };

static int forward_single(const struct op *op, const struct op_call *c, struct err *e)
{
        const struct linear_args *a = op->args;
        const int tiles = op_ceil_div(op->out.c, SINGLE_TILE), share = share_of(c, tiles, 1);
        char options[OP_OPTIONS];
        struct launch l = launch_begin(c->dev, "linear_single",
                op_options(options, 1, "-DTILE=%d", SINGLE_TILE), "linear_forward_single");
        launch_tensor(&l, &c->x[0]);
        launch_view(&l, &c->params[0]);
        launch_view(&l, &c->params[a->bias ? 1 : 0]);
        launch_tensor(&l, &c->y);
        launch_ints(&l, op->in[0].c, op->out.c, a->bias, c->x[0].n, share * SINGLE_TILE);
        launch_epilogue(&l, c);
        return launch_grid(&l, 1, (size_t[]){(size_t)op_ceil_div(tiles, share)}, (size_t[]){1}, e);
}

static int data_tiled(const struct op *op, const struct op_call *c, struct err *e)
{
        const int blocks = tensor_blocks(&c->dy), wide = 8 * tile_of(dev_info(c->dev));
        const int strips = op_ceil_div(op->in[0].c, wide), share = share_of(c, blocks, strips);
        const int room = (int)(dev_info(c->dev)->local_bytes / ((size_t)wide * sizeof(float)));
        const int chunk = least(op->out.c, least(CHUNK, room));
        struct launch l = begin_tiled(c, "linear_data_tiled");
        launch_view(&l, &c->params[0]);
        launch_tensor(&l, &c->dy);
        launch_tensor(&l, &c->dx[0]);
        launch_ints(&l, op->in[0].c, op->out.c, blocks, c->accumulate_dx[0], share, chunk);
        launch_local(&l, (size_t)(chunk * wide) * sizeof(float));
        return launch_grid(
                &l, 2, (size_t[]){(size_t)strips, (size_t)op_ceil_div(blocks, share)}, (size_t[]){1, 1}, e);
}

static struct tensor from_block(const struct tensor *t, int block)
{
        struct tensor part = *t;
        part.at.offset += (uint64_t)block * t->stride;
        part.n -= block * t->lanes;
        return part;
}

/* Gradients of the weights and, where wanted, the bias: of as many blocks at a time as local memory holds. */
static int weights_tiled(const struct op *op, const struct op_call *c, struct err *e)
{
        const int outs = op->out.c, blocks = tensor_blocks(&c->dy), tile = tile_of(dev_info(c->dev));
        const int strips = op_ceil_div(op->in[0].c, STRIP), most = strip_blocks(dev_info(c->dev));
        const int wanted = op_ceil_div(GROUPS_PER_UNIT * dev_info(c->dev)->compute_units, strips);
        const int range = op_ceil_div(op_ceil_div(outs, tile), wanted) * tile;
        const bool bias = op->num_params == 2 && c->dparams[1].buf;
        int rc = 0;
        for (int b = 0; b < blocks && rc == 0; b += most) {
                const struct tensor x = from_block(&c->x[0], b), dy = from_block(&c->dy, b);
                const int count = least(most, blocks - b);
                struct launch l = begin_tiled(c, "linear_weights_tiled");
                launch_tensor(&l, &x);
                launch_tensor(&l, &dy);
                launch_view(&l, &c->dparams[0]);
                launch_view(&l, &c->dparams[bias ? 1 : 0]);
                launch_ints(&l, op->in[0].c, outs, count, range, bias, c->accumulate_dparams || b > 0);
                launch_local(&l, (size_t)count * 16 * STRIP * sizeof(float));
                rc = launch_grid(&l, 2, (size_t[]){(size_t)strips, (size_t)op_ceil_div(outs, range)},
                        (size_t[]){1, 1}, e);
        }
        return rc;
}

static bool local_fits(int lanes, const struct dev_info *info)
{
        return lanes == CONV_LOCAL_LANES && conv_local_fits(info);
}

/* The same layer as a convolution of one pixel. `args` must outlive it. */
static struct op as_conv(const struct op *op, struct conv_args *args)
{
        const struct linear_args *a = op->args;
        struct op conv = *op;
        *args = (struct conv_args){a->out_features, {1, 1}, {1, 1}, {0, 0}, {1, 1}, 1, a->bias};
        conv.args = args;
        return conv;
}

static unsigned linear_variants(
        const struct op *op, enum op_direction direction, int lanes, const struct dev_info *info)
{
        struct conv_args args;
        const struct op conv = as_conv(op, &args);
        unsigned set = 1u << OP_NAIVE;
        const bool single = lanes == 1 && direction == OP_FORWARD && info->type == DEV_CPU;
        if (local_fits(lanes, info) || tiled_fits(lanes, info) || single)
                set |= 1u << OP_TILED;
        return conv_clblast_fits(&conv, lanes, info) ? set | 1u << OP_CLBLAST : set;
}

static void linear_needs(
        const struct op *op, int n, int lanes, const struct dev_info *info, struct op_needs *ret)
{
        struct conv_args args;
        const struct op conv = as_conv(op, &args);
        if (lanes == CONV_LOCAL_LANES && conv_local_fits(info))
                conv_local_needs(&conv, n, info, ret);
        if (!conv_clblast_fits(&conv, lanes, info))
                return;
        const uint64_t floats = conv_clblast_floats(&conv, lanes, info);
        if (floats > ret->workspace_forward)
                ret->workspace_forward = floats;
        if (floats > ret->workspace_backward)
                ret->workspace_backward = floats;
}

static int linear_forward(const struct op *op, const struct op_call *c, struct err *e)
{
        struct conv_args args;
        const struct op conv = as_conv(op, &args);
        switch (op_variant_of(op, c, OP_FORWARD)) {
        case OP_CLBLAST:
                return conv_clblast_forward(&conv, c, e);
        case OP_TILED:
                return c->y.lanes == CONV_LOCAL_LANES ? conv_local_forward(&conv, c, e)
                       : c->y.lanes == 1              ? forward_single(op, c, e)
                                                      : forward_tiled(op, c, e);
        default:
                return forward_naive(op, c, e);
        }
}

static int backward_data(const struct op *op, const struct op_call *c, struct err *e)
{
        struct conv_args args;
        const struct op conv = as_conv(op, &args);
        switch (op_variant_of(op, c, OP_DATA)) {
        case OP_CLBLAST:
                return conv_clblast_data(&conv, c, e);
        case OP_TILED:
                return c->dy.lanes == CONV_LOCAL_LANES ? conv_local_data(&conv, c, e) : data_tiled(op, c, e);
        default:
                return data_naive(op, c, e);
        }
}

static int backward_weights(const struct op *op, const struct op_call *c, struct err *e)
{
        struct conv_args args;
        const struct op conv = as_conv(op, &args);
        const enum op_variant v = op_variant_of(op, c, OP_WEIGHTS);
        if (v == OP_TILED)
                return c->dy.lanes == CONV_LOCAL_LANES ? conv_local_weights(&conv, c, e)
                                                       : weights_tiled(op, c, e);
        const int rc = v == OP_CLBLAST ? conv_clblast_weights(&conv, c, e) : weights_naive(op, c, e);
        if (rc || op->num_params < 2 || !c->dparams[1].buf)
                return rc;
        return v == OP_CLBLAST && local_fits(c->dy.lanes, dev_info(c->dev)) ? conv_local_bias(&conv, c, e)
                                                                            : bias_naive(op, c, e);
}

static int linear_backward(const struct op *op, const struct op_call *c, struct err *e)
{
        const int rc = c->dx[0].at.buf ? backward_data(op, c, e) : 0;
        return rc == 0 && c->dparams[0].buf ? backward_weights(op, c, e) : rc;
}

static const struct op_field linear_fields[] = {
        {"out_features", OP_INT, offsetof(struct linear_args, out_features), true, 0, 1, 1 << 20, NULL},
        {"bias", OP_BOOL, offsetof(struct linear_args, bias), false, 1, 0, 1, NULL},
        {0},
};

static const struct op_example linear_examples[] = {
        {&(const struct linear_args){7, true}, {13, 1, 1}, 19},
        {&(const struct linear_args){18, false}, {5, 1, 1}, 3},
        {0},
};

const struct op_kind op_linear = {
        .type = "linear",
        .doc = "fully connected layer: x times the transposed weight, plus bias",
        .args_bytes = sizeof(struct linear_args),
        .fields = linear_fields,
        .num_inputs = 1,
        .backward_reads = OP_READS_X,
        .epilogues = OP_TAKES_NORM | OP_TAKES_ACTIVATION,
        .shape = linear_shape,
        .needs = linear_needs,
        .variants = linear_variants,
        .flops = linear_flops,
        .forward = linear_forward,
        .backward = linear_backward,
        .ref = &ref_linear,
        .examples = linear_examples,
};
