#include "ops/conv_single.h"
#include "ops/conv.h"
#include "ops/conv_few.h"
#include "ops/epilogue.h"

#include <limits.h>

/* Floats of planes that stay in the second cache beside the weights of a tile; floats that a work-item
   spreads at least; work-groups that keep all cores busy to the end. */
enum { PLANES_FLOATS = 128 * 1024, LEAST_SPREAD = 4096, GROUPS_PER_UNIT = 4 };

/* How an image is read; see the kernels. [0] is height, [1] is width. */
enum reading { AS_IT_IS, AS_PLANES, AS_PANELS };
struct planes {
        enum reading reading;
        int phases[2], size[2];
        int pixels;             /* from the first to the last one that is kept */
        int64_t plane, channel; /* floats */
        int64_t image;          /* of workspace */
};

/* Tiles of outputs that make up for the copy to panels. */
enum { LEAST_TILES = 3 };

/* Sums in registers: channels and vectors of pixels. */
static int tile_of(const struct dev_info *info)
{
        return info->native_width >= 16 ? 8 : info->native_width == 8 ? 6 : 3;
}

static int vectors_of(const struct dev_info *info)
{
        return info->native_width >= 16 ? 3 : 1;
}

static int least(int a, int b)
{
        return a < b ? a : b;
}

static int step_of(const struct dev_info *info)
{
        return 16 * vectors_of(info);
}

static enum reading reading_of(const struct op *op, int pixels, const struct dev_info *info)
{
        const struct conv_args *a = op->args;
        const int tiles = op_ceil_div(op->out.c / a->groups, tile_of(info));
        if (a->kernel_size[0] == 1 && a->kernel_size[1] == 1 && pixels > step_of(info) &&
                tiles >= LEAST_TILES)
                return AS_PANELS;
        /* Vectors may not reach beyond the last pixel. */
        return a->stride[0] == 1 && a->stride[1] == 1 && a->padding[0] == 0 && a->padding[1] == 0 &&
                               conv_padding_end(op, 0) == 0 && conv_padding_end(op, 1) == 0 &&
                               pixels >= step_of(info)
                       ? AS_IT_IS
                       : AS_PLANES;
}

static struct planes planes_of(const struct op *op, const struct dev_info *info)
{
        const struct conv_args *a = op->args;
        const int out[2] = {op->out.h, op->out.w}, step = step_of(info), channels = op->in[0].c;
        struct planes p;
        for (int i = 0; i < 2; i++) {
                p.phases[i] = least(a->stride[i], a->kernel_size[i]);
                p.size[i] = out[i] + conv_reach(a, i) / a->stride[i];
        }
        p.pixels = (out[0] - 1) * p.size[1] + out[1];
        p.reading = reading_of(op, p.pixels, info);
        p.plane = (int64_t)p.size[0] * p.size[1];
        p.channel = p.reading == AS_PANELS ? step : p.plane * p.phases[0] * p.phases[1];
        p.image = p.reading == AS_PANELS   ? (int64_t)op_ceil_div(p.pixels, step) * step * channels
                  : p.reading == AS_PLANES ? p.channel * channels + step /* which idle lanes read */
                                           : 0;
        return p;
}

/* Of phases taps would skip some. */
static bool skips_phases(const struct conv_args *a)
{
        return (a->stride[0] > 1 && a->dilation[0] > 1) || (a->stride[1] > 1 && a->dilation[1] > 1);
}

bool conv_single_fits(const struct op *op, const struct dev_info *info)
{
        if (conv_few_fits(op, info))
                return true;
        return info->type == DEV_CPU && !skips_phases(op->args) && planes_of(op, info).image < INT_MAX / 4;
}

uint64_t conv_single_floats(const struct op *op, int n, const struct dev_info *info)
{
        return conv_few_fits(op, info) ? conv_few_floats(op, n)
                                       : (uint64_t)n * (uint64_t)planes_of(op, info).image;
}

static struct launch begin(const struct op_call *call, const char *kernel)
{
        const struct dev_info *info = dev_info(call->dev);
        char options[OP_OPTIONS];
        op_options(options, 1, "-DTILE=%d -DVECTORS=%d", tile_of(info), vectors_of(info));
        return launch_begin(call->dev, "conv_single", options, kernel);
}

static int spread(const struct op *op, const struct op_call *call, const struct planes *p,
        const struct tensor *to, struct err *e)
{
        const struct conv_args *a = op->args;
        const struct shape in = op->in[0];
        const int rows = in.c * p->phases[0] * p->phases[1] * p->size[0];
        const int share = op_ceil_div(LEAST_SPREAD, p->size[1]);
        struct launch l = begin(call, "conv_single_spread");
        launch_tensor(&l, &call->x[0]);
        launch_view(&l, &to->at);
        launch_ulong(&l, to->stride);
        launch_ints(&l, in.h, in.w, a->padding[0], a->padding[1], a->stride[0], a->stride[1], p->phases[0],
                p->phases[1], p->size[0], p->size[1], rows, share, step_of(dev_info(call->dev)));
        return launch_grid(
                &l, 2, (size_t[]){(size_t)op_ceil_div(rows, share), (size_t)to->n}, (size_t[]){1, 1}, e);
}

static int make_panels(const struct op *op, const struct op_call *call, const struct planes *p,
        const struct tensor *to, struct err *e)
{
        const struct conv_args *a = op->args;
        const struct shape in = op->in[0];
        const int step = step_of(dev_info(call->dev)), share = op_ceil_div(LEAST_SPREAD, step);
        struct launch l = begin(call, "conv_single_panels");
        launch_tensor(&l, &call->x[0]);
        launch_view(&l, &to->at);
        launch_ulong(&l, to->stride);
        launch_ints(&l, in.c, in.h, in.w, a->padding[0], a->padding[1], a->stride[0], a->stride[1], op->out.w,
                p->pixels, share);
        const size_t grid[] = {
                (size_t)op_ceil_div(p->pixels, step), (size_t)op_ceil_div(in.c, share), (size_t)to->n};
        return launch_grid(&l, 3, grid, (size_t[]){1, 1, 1}, e);
}

/* `x` becomes what the convolution reads. */
static int prepare(const struct op *op, const struct op_call *call, const struct planes *p, struct tensor *x,
        struct err *e)
{
        if (p->reading == AS_IT_IS)
                return 0;
        x->at = call->workspace;
        x->stride = (uint64_t)p->image;
        return p->reading == AS_PANELS ? make_panels(op, call, p, x, e) : spread(op, call, p, x, e);
}

int conv_single_forward(const struct op *op, const struct op_call *call, struct err *e)
{
        const struct conv_args *a = op->args;
        const struct dev_info *info = dev_info(call->dev);
        const struct planes p = planes_of(op, info);
        const int ins = op->in[0].c / a->groups, outs = op->out.c / a->groups, step = step_of(info);
        struct tensor x = call->x[0];
        if (conv_few_fits(op, info))
                return conv_few_forward(op, call, e);
        const int rc = prepare(op, call, &p, &x, e);
        if (rc)
                return rc;
        /* As few pixels as stay in the cache; then as few channels as make enough work-groups. */
        const int all = op_ceil_div(p.pixels, step), tiles = op_ceil_div(outs, tile_of(info));
        const int64_t most = PLANES_FLOATS / ((int64_t)ins * a->kernel_size[0] * step) + 1;
        const int pieces = op_ceil_div(all, most < all ? (int)most : all), steps = op_ceil_div(all, pieces);
        const int wanted = op_ceil_div(GROUPS_PER_UNIT * info->compute_units, pieces * a->groups * x.n);
        const int range = op_ceil_div(tiles, least(wanted, tiles)), ranges = op_ceil_div(tiles, range);
        const int panel = p.reading == AS_PANELS ? op->in[0].c * step : 0;
        struct launch l = begin(call, "conv_single");
        launch_tensor(&l, &x);
        launch_view(&l, &call->params[0]);
        launch_view(&l, &call->params[a->bias ? 1 : 0]);
        launch_tensor(&l, &call->y);
        launch_ints(&l, ins, outs, op->out.h, op->out.w, a->kernel_size[0], a->kernel_size[1], a->stride[0],
                a->stride[1], a->dilation[0], a->dilation[1], p.phases[1], (int)p.channel, (int)p.plane,
                p.size[1], panel, a->bias, steps, tiles, range, ranges);
        launch_epilogue(&l, call);
        return launch_grid(&l, 3,
                (size_t[]){(size_t)op_ceil_div(all, steps), (size_t)(a->groups * ranges), (size_t)x.n},
                (size_t[]){1, 1, 1}, e);
}
