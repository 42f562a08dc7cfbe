#include "ops/choice.h"
#include "ops/conv.h"

/* Kernels and their arguments are described in kernels/conv_weights.cl. [0] is height, [1] is width. */

/* A window that stays in the second cache: the larger, the fewer passes over dy. Pixels whose gradients stay
   in the first cache, and how many in a row. Work-groups that keep all cores busy to the end. Tiles of output
   channels below which copying the window again would show. Tiles that share the taps of the window in the
   first cache. */
enum {
        WINDOW_BYTES = 128 * 1024,
        PATCH_PIXELS = 64,
        PATCH_WIDTH = 32,
        GROUPS_PER_UNIT = 8,
        LEAST_RANGE = 4,
        BLOCK = 2,
};

/* How the sums are cut into work-groups. */
struct cut {
        int tile_k, tile_q; /* sums in registers: output channels times taps */
        int tiles_k, tiles_q;
        int range, ranges; /* of tiles of output channels */
        int side;          /* channels that stand side by side in a window */
        int chunk, chunks; /* of input channels */
        int patch[2], splits;
        uint64_t window_bytes;
        uint64_t partial, partial_bias; /* floats */
};

static uint64_t window_of(const struct conv_args *a, const int patch[2])
{
        uint64_t pixels = 1;
        for (int i = 0; i < 2; i++) {
                const int seen = (patch[i] - 1) * a->stride[i] + 1;
                const int band = a->dilation[i] < seen ? a->dilation[i] : seen;
                pixels *= (uint64_t)((a->kernel_size[i] - 1) * band + seen);
        }
        return pixels * CONV_LANES * sizeof(float);
}

static void cut_patch(const struct op *op, uint64_t room, struct cut *c)
{
        const struct conv_args *a = op->args;
        c->patch[1] = op_ceil_div(op->out.w, op_ceil_div(op->out.w, PATCH_WIDTH));
        c->patch[0] = PATCH_PIXELS / c->patch[1] < op->out.h ? PATCH_PIXELS / c->patch[1] : op->out.h;
        c->patch[0] = op_ceil_div(op->out.h, op_ceil_div(op->out.h, c->patch[0]));
        while (window_of(a, c->patch) > room && c->patch[0] > 1)
                c->patch[0] = (c->patch[0] + 1) / 2;
        while (window_of(a, c->patch) > room && c->patch[1] > 1)
                c->patch[1] = (c->patch[1] + 1) / 2;
}

/* Returns the cost over all taps and output channels, in halves of a multiply-add: one of these per sum,
   about half of one per vector that is loaded, and a little for the loop. */
static int64_t cut_tile(const struct op *op, int tile_k, int tile_q, struct cut *c)
{
        const struct conv_args *a = op->args;
        const int outs = op->out.c / a->groups, taps = a->kernel_size[0] * a->kernel_size[1];
        c->tile_k = tile_k;
        c->tile_q = tile_q;
        c->side = c->chunk <= 8 ? c->chunk : tile_q;
        c->tiles_k = op_ceil_div(outs, tile_k);
        c->tiles_q = op_ceil_div(op_ceil_div(c->chunk, c->side) * c->side * taps, tile_q);
        return (int64_t)c->tiles_k * c->tiles_q * (2 * tile_k * tile_q + tile_k + tile_q + 4);
}

/* 12 sums fill 16 registers beside what is loaded, 24 fill 32. */
static void cut_tiles(const struct op *op, const struct dev_info *info, struct cut *c)
{
        const int most = info->native_width >= 16 ? 24 : 12;
        struct choice choice = {0};
        for (int tile_q = 3; tile_q <= 4; tile_q++)
                for (int tile_k = most / tile_q; tile_k >= 3; tile_k--) {
                        const bool usual =
                                (tile_k * tile_q == most && tile_q == 3) || (tile_k == 4 && tile_q == 4);
                        choice_weigh(&choice, tile_k * 8 + tile_q, cut_tile(op, tile_k, tile_q, c), usual);
                }
        const int made = choice_made(&choice);
        cut_tile(op, made / 8, made % 8, c);
}

static struct cut cut_of(const struct op *op, int blocks, const struct dev_info *info)
{
        const struct conv_args *a = op->args;
        const int channels = op->in[0].c / a->groups, wanted = GROUPS_PER_UNIT * info->compute_units;
        const uint64_t room = info->local_bytes < WINDOW_BYTES ? info->local_bytes : WINDOW_BYTES;
        struct cut c = {0};
        cut_patch(op, room, &c);
        const uint64_t window = window_of(a, c.patch), most = room / window;
        c.chunk = most < 1 ? 1 : most < (uint64_t)channels ? (int)most : channels;
        c.chunk = op_ceil_div(channels, op_ceil_div(channels, c.chunk));
        if (c.chunk > 12 && c.chunk < channels)
                c.chunk = c.chunk / 12 * 12; /* whole tiles of either kind */
        c.chunks = op_ceil_div(channels, c.chunk);
        cut_tiles(op, info, &c);
        c.window_bytes = window * (uint64_t)(op_ceil_div(c.chunk, c.side) * c.side);
        const int columns = a->groups * c.chunks;
        c.ranges = op_ceil_div(wanted, columns);
        c.range = op_ceil_div(c.tiles_k, c.ranges);
        if (c.range < LEAST_RANGE)
                c.range = LEAST_RANGE;
        c.ranges = op_ceil_div(c.tiles_k, c.range);
        const int patches = op_ceil_div(op->out.h, c.patch[0]) * op_ceil_div(op->out.w, c.patch[1]) * blocks;
        c.splits = op_ceil_div(wanted, columns * c.ranges);
        if (c.splits > patches)
                c.splits = patches;
        c.partial = (uint64_t)c.splits * (uint64_t)columns * (uint64_t)c.tiles_k * (uint64_t)c.tiles_q *
                    (uint64_t)(c.tile_k * c.tile_q);
        c.partial_bias = (uint64_t)c.splits * (uint64_t)op->out.c;
        return c;
}

bool conv_weights_fits(const struct op *op, const struct dev_info *info)
{
        return cut_of(op, 1, info).window_bytes <= info->local_bytes;
}

uint64_t conv_weights_floats(const struct op *op, int blocks, const struct dev_info *info)
{
        const struct cut c = cut_of(op, blocks, info);
        return c.partial + c.partial_bias;
}

int conv_weights_run(const struct op *op, const struct op_call *call, struct err *e)
{
        const struct conv_args *a = op->args;
        const struct dev_info *info = dev_info(call->dev);
        const int blocks = tensor_blocks(&call->dy), bias = a->bias && call->dparams[1].buf;
        const struct cut c = cut_of(op, blocks, info);
        const struct view partial_bias = {call->workspace.buf, call->workspace.offset + c.partial};
        const int width = info->native_width >= 16 ? 16 : info->native_width == 8 ? 8 : 4;
        const size_t columns = (size_t)(a->groups * c.chunks);
        char options[OP_OPTIONS];
        op_options(options, CONV_LANES, "-DTILE_K=%d -DTILE_Q=%d -DWIDTH=%d", c.tile_k, c.tile_q, width);
        struct launch l = launch_begin(call->dev, "conv_weights", options, "conv_weights_tiled");
        launch_tensor(&l, &call->x[0]);
        launch_tensor(&l, &call->dy);
        launch_view(&l, &call->workspace);
        launch_view(&l, &partial_bias);
        conv_geometry(&l, op);
        launch_ints(&l, blocks, c.chunk, c.chunks, c.patch[0], c.patch[1], c.splits, c.tiles_k, c.tiles_q,
                c.range, c.side, BLOCK, bias);
        launch_local(&l, (size_t)c.window_bytes);
        int rc = launch_grid(
                &l, 3, (size_t[]){(size_t)c.splits, columns, (size_t)c.ranges}, (size_t[]){1, 1, 1}, e);
        if (rc)
                return rc;
        l = launch_begin(call->dev, "conv_weights", options, "conv_weights_sum");
        launch_view(&l, &call->workspace);
        launch_view(&l, &partial_bias);
        launch_view(&l, &call->dparams[0]);
        launch_view(&l, &call->dparams[bias ? 1 : 0]);
        conv_geometry(&l, op);
        launch_ints(&l, c.chunk, c.chunks, c.splits, c.tiles_k, c.tiles_q, c.side, bias,
                call->accumulate_dparams);
        return launch_grid(&l, 2, (size_t[]){(size_t)c.tiles_k, columns}, (size_t[]){1, 1}, e);
}
