#include "ops/conv.h"
#include "ops/correlation.h"
#include "ops/epilogue.h"

/* Kernels and their arguments are described in kernels/conv_winograd.cl. [0] is height, [1] is width. */

enum { SIDE = 6, POINTS = SIDE * SIDE, MOST_PATCH = 16, VECTOR_BYTES = CONV_LANES * sizeof(float) };

/* What the work beside the products takes, in products of vectors: a tile to its points, sums at the points
   to a tile, sums read and written again by a further chunk; bytes of weights that arrive meanwhile; the
   weights of an input and a tile of outputs to their points. */
enum { COST_IN = 220, COST_OUT = 150, COST_AGAIN = 2, WEIGHT_BYTES = 16, COST_PACK = 300 };

struct cut {
        int tile, tiles;       /* outputs whose sums stay in registers */
        int packed;            /* floats that a tile's weights take */
        int spots[2];          /* tiles of pixels, down and along */
        int patch, patches;    /* of spots */
        int chunk, chunks;     /* of inputs */
        int range, ranges;     /* of tiles */
        uint64_t memory_bytes; /* local */
};

static struct correlation correlation_of(const struct op *op, bool data)
{
        return data ? correlation_data(op, (int[]){0, 0}) : correlation_forward(op);
}

static uint64_t memory_of(const struct cut *k)
{
        return (uint64_t)POINTS * VECTOR_BYTES * (uint64_t)k->patch *
               (uint64_t)(k->chunk + k->range * k->tile);
}

/* Of all work-groups that one core computes one after the other. */
static double cost_of(
        const struct correlation *c, const struct cut *k, int blocks, const struct dev_info *info)
{
        const double ins = c->ins, outs = k->range * k->tile, spots = k->patch;
        const double products = POINTS * ins * outs + COST_IN * ins + COST_OUT * outs;
        const double again = (double)(k->chunks - 1) * COST_AGAIN * POINTS * outs;
        const double weights = POINTS * ins * k->range * k->packed * sizeof(float) / WEIGHT_BYTES;
        const double unit = spots * (products + again), slowest = unit > weights ? unit : weights;
        return slowest * op_ceil_div(k->patches * c->groups * k->ranges * blocks, info->compute_units);
}

/* The cut that costs least among those that fit; memory_bytes 0 where none does. */
static struct cut cut_of(
        const struct correlation *c, struct shape out, int blocks, const struct dev_info *info)
{
        const int step = SIDE - c->taps[0] + 1;
        struct cut k = {.tile = conv_winograd_tile(info),
                .spots = {op_ceil_div(out.h, step), op_ceil_div(out.w, step)}};
        struct cut best = k;
        double least = 0;
        k.tiles = op_ceil_div(c->outs, k.tile);
        k.packed = k.tile > 8 ? 16 : 8;
        for (k.patch = 1; k.patch <= MOST_PATCH; k.patch++)
                for (int r = 1; r <= k.tiles; r = r < 8 ? r + 1 : 2 * r)
                        for (int i = 1; i <= c->ins; i = i < 8 ? i + 1 : 2 * i) {
                                k.patches = op_ceil_div(k.spots[0] * k.spots[1], k.patch);
                                k.range = op_ceil_div(k.tiles, r);
                                k.ranges = op_ceil_div(k.tiles, k.range);
                                k.chunk = op_ceil_div(c->ins, i);
                                k.chunks = op_ceil_div(c->ins, k.chunk);
                                k.memory_bytes = memory_of(&k);
                                if (k.memory_bytes > info->local_bytes)
                                        continue;
                                const double cost = cost_of(c, &k, blocks, info);
                                if (best.memory_bytes && cost >= least)
                                        continue;
                                best = k;
                                least = cost;
                        }
        return best;
}

const char *conv_winograd_options(char *out, const struct dev_info *info, int taps, int patch)
{
        return op_options(
                out, CONV_LANES, "-DTILE=%d -DTAPS=%d -DPATCH=%d", conv_winograd_tile(info), taps, patch);
}

static int pack(const struct op_call *call, const struct correlation *c, const struct cut *k,
        const char *options, struct err *e)
{
        struct launch l = launch_begin(call->dev, "conv_winograd", options, "conv_winograd_pack");
        l.once = call->params_stay;
        launch_view(&l, &call->params[0]);
        launch_view(&l, &call->workspace);
        launch_ints(&l, c->outs, c->ins, k->chunk, c->weights_group, c->weights_out, c->weights_in,
                c->tap_first[0] + c->tap_first[1], c->tap_step[0], c->tap_step[1]);
        return launch_grid(&l, 3, (size_t[]){(size_t)k->tiles, (size_t)c->groups, (size_t)k->chunks},
                (size_t[]){1, 1, 1}, e);
}

static int correlate(const struct op_call *call, const struct correlation *c, const struct tensor *in,
        const struct tensor *out, const struct view *bias, bool accumulate, struct err *e)
{
        const int blocks = tensor_blocks(in);
        const struct cut k = cut_of(c, out->s, blocks, dev_info(call->dev));
        char options[OP_OPTIONS];
        conv_winograd_options(options, dev_info(call->dev), c->taps[0], CONV_WINOGRAD_PATCH);
        const int rc = pack(call, c, &k, options, e);
        if (rc)
                return rc;
        struct launch l = launch_begin(call->dev, "conv_winograd", options, "conv_winograd");
        launch_tensor(&l, in);
        launch_view(&l, &call->workspace);
        launch_view(&l, bias ? bias : &call->workspace);
        launch_tensor(&l, out);
        launch_ints(&l, c->ins, in->s.h, in->s.w, c->outs, out->s.h, out->s.w, c->in_first[0], c->in_first[1],
                bias != NULL, accumulate, k.chunk, k.patch, k.spots[0] * k.spots[1], k.spots[1], k.tiles,
                k.range, k.ranges);
        launch_epilogue(&l, call);
        launch_local(&l, (size_t)k.memory_bytes);
        const size_t grid[] = {(size_t)k.patches, (size_t)(c->groups * k.ranges), (size_t)blocks};
        return launch_grid(&l, 3, grid, (size_t[]){1, 1, 1}, e);
}

bool conv_winograd_fits(const struct op *op, const struct dev_info *info)
{
        const struct conv_args *a = op->args;
        if (a->stride[0] != 1 || a->stride[1] != 1 || conv_is_dilated(a) ||
                a->kernel_size[0] != a->kernel_size[1] || (a->kernel_size[0] != 3 && a->kernel_size[0] != 5))
                return false;
        const struct correlation c = correlation_of(op, false), d = correlation_of(op, true);
        return cut_of(&c, op->out, 1, info).memory_bytes && cut_of(&d, op->in[0], 1, info).memory_bytes;
}

int conv_winograd_forward(const struct op *op, const struct op_call *call, struct err *e)
{
        const struct conv_args *a = op->args;
        const struct correlation c = correlation_of(op, false);
        return correlate(call, &c, &call->x[0], &call->y, a->bias ? &call->params[1] : NULL, false, e);
}

int conv_winograd_data(const struct op *op, const struct op_call *call, struct err *e)
{
        const struct correlation c = correlation_of(op, true);
        return correlate(call, &c, &call->dy, &call->dx[0], NULL, call->accumulate_dx[0], e);
}

uint64_t conv_winograd_floats(const struct op *op, bool data, const struct dev_info *info)
{
        const struct correlation c = correlation_of(op, data);
        const int tile = conv_winograd_tile(info);
        return (uint64_t)c.groups * (uint64_t)c.ins * POINTS * (uint64_t)op_ceil_div(c.outs, tile) *
               (uint64_t)(tile > 8 ? 16 : 8);
}

double conv_winograd_cost(const struct op *op, bool data, int blocks, const struct dev_info *info)
{
        const struct correlation c = correlation_of(op, data);
        const struct cut k = cut_of(&c, data ? op->in[0] : op->out, blocks, info);
        return cost_of(&c, &k, blocks, info) +
               (double)c.groups * c.ins * k.tiles * COST_PACK / info->compute_units;
}
