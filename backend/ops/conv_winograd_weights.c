#include "ops/conv.h"

/* Kernels and their arguments are described in kernels/conv_winograd.cl. [0] is height, [1] is width. */

enum { SIDE = 6, POINTS = SIDE * SIDE, VECTOR_BYTES = CONV_LANES * sizeof(float), GROUPS_PER_UNIT = 4 };

/* What the work beside the products takes, in products of vectors: a tile of inputs, of gradients to its
   points; vectors of sums that are read and written again, and those of all splits together at the end. */
enum { COST_IN = 450, COST_GRADIENT = 200, COST_AGAIN = 2, COST_SUM = 8 };

struct cut {
        int tile, tiles;                /* output channels whose sums stay in registers */
        int vectors;                    /* of 16 input channels */
        int spots[2];                   /* tiles of pixels, down and along */
        int patch, patches;             /* of spots, of one block */
        int chunk, chunks;              /* of vectors */
        int range, ranges;              /* of tiles */
        int splits;                     /* of the patches of all blocks */
        uint64_t memory_bytes;          /* local */
        uint64_t partial, partial_bias; /* floats */
};

static uint64_t memory_of(const struct cut *k)
{
        return (uint64_t)POINTS * VECTOR_BYTES *
               ((uint64_t)k->patch * (uint64_t)(k->chunk * CONV_LANES + k->range * k->tile) + CONV_LANES);
}

/* Of all work-groups that one core computes one after the other. */
static double cost_of(const struct cut *k, int groups, int blocks, const struct dev_info *info)
{
        const double ins = k->chunk * CONV_LANES, outs = k->range * k->tile, spots = k->patch;
        const double sums = POINTS * (double)k->chunk * outs;
        const double patch =
                spots * (POINTS * ins * outs + COST_IN * ins + COST_GRADIENT * outs) + COST_AGAIN * sums;
        const double share = op_ceil_div(k->patches * blocks, k->splits);
        const double all = (double)k->tiles * k->tile * k->vectors * groups * POINTS * k->splits * COST_SUM;
        return patch * share * op_ceil_div(k->splits * groups * k->chunks * k->ranges, info->compute_units) +
               all / info->compute_units;
}

static void cut_work(const struct op *op, int blocks, const struct dev_info *info, struct cut *k)
{
        const struct conv_args *a = op->args;
        k->chunks = op_ceil_div(k->vectors, k->chunk);
        k->ranges = op_ceil_div(k->tiles, k->range);
        k->patches = op_ceil_div(k->spots[0] * k->spots[1], k->patch);
        const int wanted =
                op_ceil_div(GROUPS_PER_UNIT * info->compute_units, a->groups * k->chunks * k->ranges);
        k->splits = wanted < k->patches * blocks ? wanted : k->patches * blocks;
        k->memory_bytes = memory_of(k);
        k->partial = (uint64_t)k->splits * (uint64_t)a->groups * (uint64_t)(k->tiles * k->tile) *
                     (uint64_t)k->vectors * POINTS * CONV_LANES;
        k->partial_bias = (uint64_t)k->splits * (uint64_t)op->out.c * CONV_LANES;
}

/* The cut that costs least among those that fit; memory_bytes 0 where none does. */
static struct cut cut_of(const struct op *op, int blocks, const struct dev_info *info)
{
        const struct conv_args *a = op->args;
        const int ins = op->in[0].c / a->groups, outs = op->out.c / a->groups,
                  step = SIDE - a->kernel_size[0] + 1;
        struct cut k = {.tile = conv_winograd_tile(info),
                .vectors = op_ceil_div(ins, CONV_LANES),
                .spots = {op_ceil_div(op->out.h, step), op_ceil_div(op->out.w, step)}};
        struct cut best = k;
        double least = 0;
        k.tiles = op_ceil_div(outs, k.tile);
        /* The larger patch where it fits at all: each has programs of its own. */
        for (k.patch = CONV_WINOGRAD_PATCH; k.patch >= 1 && !best.memory_bytes; k.patch /= 2)
                for (k.chunk = 1; k.chunk <= k.vectors; k.chunk++)
                        for (int r = 1; r <= k.tiles; r = r < 8 ? r + 1 : 2 * r) {
                                k.range = op_ceil_div(k.tiles, r);
                                cut_work(op, blocks, info, &k);
                                if (k.memory_bytes > info->local_bytes)
                                        continue;
                                const double cost = cost_of(&k, a->groups, blocks, info);
                                if (best.memory_bytes && cost >= least)
                                        continue;
                                best = k;
                                least = cost;
                        }
        return best;
}

bool conv_winograd_weights_fits(const struct op *op, const struct dev_info *info)
{
        return conv_winograd_fits(op, info) && cut_of(op, 1, info).memory_bytes > 0;
}

uint64_t conv_winograd_weights_floats(const struct op *op, int blocks, const struct dev_info *info)
{
        const struct cut c = cut_of(op, blocks, info);
        return c.partial + c.partial_bias;
}

double conv_winograd_weights_cost(const struct op *op, int blocks, const struct dev_info *info)
{
        const struct conv_args *a = op->args;
        const struct cut c = cut_of(op, blocks, info);
        return cost_of(&c, a->groups, blocks, info);
}

int conv_winograd_weights(const struct op *op, const struct op_call *call, struct err *e)
{
        const struct conv_args *a = op->args;
        const int blocks = tensor_blocks(&call->dy), bias = a->bias && call->dparams[1].buf;
        const int ins = op->in[0].c / a->groups, outs = op->out.c / a->groups;
        const struct cut k = cut_of(op, blocks, dev_info(call->dev));
        const struct view partial_bias = {call->workspace.buf, call->workspace.offset + k.partial};
        char options[OP_OPTIONS];
        conv_winograd_options(options, dev_info(call->dev), a->kernel_size[0], k.patch);
        struct launch l = launch_begin(call->dev, "conv_winograd", options, "conv_winograd_weights");
        launch_tensor(&l, &call->x[0]);
        launch_tensor(&l, &call->dy);
        launch_view(&l, &call->workspace);
        launch_view(&l, &partial_bias);
        launch_ints(&l, ins, op->in[0].h, op->in[0].w, outs, op->out.h, op->out.w, a->padding[0],
                a->padding[1], blocks, k.spots[0] * k.spots[1], k.spots[1], k.vectors, k.chunk, k.chunks,
                k.tiles, k.range, bias);
        launch_local(&l, (size_t)k.memory_bytes);
        const int rc = launch_grid(&l, 3,
                (size_t[]){(size_t)k.splits, (size_t)(a->groups * k.chunks), (size_t)k.ranges},
                (size_t[]){1, 1, 1}, e);
        if (rc)
                return rc;
        l = launch_begin(call->dev, "conv_winograd", options, "conv_winograd_sum");
        launch_view(&l, &call->workspace);
        launch_view(&l, &partial_bias);
        launch_view(&l, &call->dparams[0]);
        launch_view(&l, &call->dparams[bias ? 1 : 0]);
        launch_ints(&l, ins, outs, k.splits, k.vectors, bias, call->accumulate_dparams);
        return launch_grid(
                &l, 2, (size_t[]){(size_t)k.tiles, (size_t)(a->groups * k.vectors)}, (size_t[]){1, 1}, e);
}
