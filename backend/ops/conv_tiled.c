#include "ops/choice.h"
#include "ops/conv.h"
#include "ops/correlation.h"
#include "ops/epilogue.h"

/* Kernels and their arguments are described in kernels/conv_tiled.cl. [0] is height, [1] is width. */

/* A window that stays in the second cache beside the weights; pixels of a row that share one; work-groups
   that keep all cores busy to the end; strides whose phases are still worth a launch each. */
enum { WINDOW_BYTES = 64 * 1024, SEGMENT = 32, GROUPS_PER_UNIT = 8, MOST_PHASES = 16 };

/* How it is cut into work-groups. */
struct cut {
        int tile, tiles;       /* outputs whose sums stay in registers */
        int chunk, chunks;     /* of inputs */
        int segment, segments; /* of a row */
        int range, ranges;     /* of tiles */
        uint64_t window_bytes;
};

/* By the vector registers of its sums: between them they suit nearly every number of channels. */
static bool is_usual(int sums)
{
        return sums == 8 || sums == 12 || sums == 13;
}

int conv_tile(int outs, const struct dev_info *info)
{
        const int registers = info->native_width >= 16 ? 1 : info->native_width == 8 ? 2 : 4;
        const int most = registers == 1 ? 14 : 12 / registers;
        struct choice choice = {0};
        for (int tile = 1; tile <= most; tile++) {
                const int busy = tile * registers > 8 ? tile * registers : 8;
                choice_weigh(
                        &choice, tile, op_ceil_div(outs, tile) * (3 * busy + 4), is_usual(tile * registers));
        }
        return choice_made(&choice);
}

static uint64_t window_of(const struct correlation *c, int segment)
{
        int columns = (segment - 1) * c->in_step[1] + (c->taps[1] - 1) * c->in_tap[1] + 1;
        if (columns < 0)
                columns = 0;
        if (columns > c->in.w)
                columns = c->in.w;
        return (uint64_t)columns * (uint64_t)c->taps[0] * CONV_LANES * sizeof(float);
}

/* One without pixels, a phase of a stride that no input pixel has, is cut like one of a pixel. */
static struct cut cut_of(const struct correlation *c, int blocks, const struct dev_info *info)
{
        const int height = c->size[0] > 0 ? c->size[0] : 1, width = c->size[1] > 0 ? c->size[1] : 1;
        struct cut k = {.tile = conv_tile(c->outs, info), .segments = op_ceil_div(width, SEGMENT)};
        const uint64_t room = info->local_bytes < WINDOW_BYTES ? info->local_bytes : WINDOW_BYTES;
        k.tiles = op_ceil_div(c->outs, k.tile);
        k.segment = op_ceil_div(width, k.segments);
        while (k.segment > 1 && window_of(c, k.segment) > room)
                k.segment = (k.segment + 1) / 2;
        k.segments = op_ceil_div(width, k.segment);
        const uint64_t window = window_of(c, k.segment);
        const uint64_t most =
                window == 0 || room / window > (uint64_t)c->ins ? (uint64_t)c->ins : room / window;
        k.chunks = op_ceil_div(c->ins, most ? (int)most : 1);
        k.chunk = op_ceil_div(c->ins, k.chunks);
        k.chunks = op_ceil_div(c->ins, k.chunk);
        k.window_bytes = window * (uint64_t)k.chunk;
        const int rows = height * k.segments * c->groups * blocks;
        k.ranges = op_ceil_div(GROUPS_PER_UNIT * info->compute_units, rows);
        k.range = op_ceil_div(k.tiles, k.ranges < k.tiles ? k.ranges : k.tiles);
        k.ranges = op_ceil_div(k.tiles, k.range);
        return k;
}

static uint64_t packed_floats(const struct correlation *c, const struct dev_info *info)
{
        const int tile = conv_tile(c->outs, info);
        return (uint64_t)(c->groups * op_ceil_div(c->outs, tile) * tile) * (uint64_t)c->ins *
               (uint64_t)(c->taps[0] * c->taps[1]);
}

static int pack(const struct op_call *call, const struct correlation *c, const struct cut *k,
        const char *options, struct err *e)
{
        struct launch l = launch_begin(call->dev, "conv_tiled", options, "conv_pack");
        l.once = call->params_stay;
        launch_view(&l, &call->params[0]);
        launch_view(&l, &call->workspace);
        launch_ints(&l, c->outs, c->ins, c->taps[0], c->taps[1], k->chunk, k->tiles, c->weights_group,
                c->weights_out, c->weights_in, c->tap_first[0], c->tap_step[0], c->tap_first[1],
                c->tap_step[1]);
        return launch_grid(
                &l, 2, (size_t[]){(size_t)(k->tiles * k->chunks), (size_t)c->groups}, (size_t[]){1, 1}, e);
}

static int correlate(const struct op_call *call, const struct correlation *c, const struct tensor *in,
        const struct tensor *out, const struct view *bias, bool accumulate, struct err *e)
{
        const int blocks = tensor_blocks(in);
        const struct cut k = cut_of(c, blocks, dev_info(call->dev));
        char options[OP_OPTIONS];
        op_options(options, CONV_LANES, "-DTILE=%d", k.tile);
        const int rc = pack(call, c, &k, options, e);
        if (rc)
                return rc;
        struct launch l = launch_begin(call->dev, "conv_tiled", options, "conv_tiled");
        launch_tensor(&l, in);
        launch_view(&l, &call->workspace);
        launch_view(&l, bias ? bias : &call->workspace);
        launch_tensor(&l, out);
        launch_ints(&l, c->ins, in->s.h, in->s.w, c->outs, out->s.h, out->s.w, c->taps[0], c->taps[1],
                c->size[1], c->in_step[0], c->in_step[1], c->in_first[0], c->in_first[1], c->in_tap[0],
                c->in_tap[1], c->out_step[0], c->out_step[1], c->out_first[0], c->out_first[1], bias != NULL,
                accumulate, k.chunk, k.segment, k.segments, k.tiles, k.range, k.ranges);
        launch_epilogue(&l, call);
        launch_local(&l, k.window_bytes ? (size_t)k.window_bytes : sizeof(float));
        const size_t grid[] = {
                (size_t)(c->size[0] * k.segments), (size_t)(c->groups * k.ranges), (size_t)blocks};
        return launch_grid(&l, 3, grid, (size_t[]){1, 1, 1}, e);
}

bool conv_tiled_fits(const struct op *op, const struct dev_info *info)
{
        const struct conv_args *a = op->args;
        const struct correlation c = correlation_forward(op), d = correlation_data(op, (int[]){0, 0});
        return a->stride[0] <= MOST_PHASES && a->stride[0] * a->stride[1] <= MOST_PHASES &&
               cut_of(&c, 1, info).window_bytes <= info->local_bytes &&
               cut_of(&d, 1, info).window_bytes <= info->local_bytes;
}

int conv_tiled_forward(const struct op *op, const struct op_call *call, struct err *e)
{
        const struct conv_args *a = op->args;
        const struct correlation c = correlation_forward(op);
        return correlate(call, &c, &call->x[0], &call->y, a->bias ? &call->params[1] : NULL, false, e);
}

int conv_tiled_data(const struct op *op, const struct op_call *call, struct err *e)
{
        const struct conv_args *a = op->args;
        int rc = 0;
        for (int i = 0; i < a->stride[0] * a->stride[1] && rc == 0; i++) {
                const struct correlation c =
                        correlation_data(op, (int[]){i / a->stride[1], i % a->stride[1]});
                if (c.size[0] > 0 && c.size[1] > 0)
                        rc = correlate(call, &c, &call->dy, &call->dx[0], NULL, call->accumulate_dx[0], e);
        }
        return rc;
}

uint64_t conv_tiled_forward_floats(const struct op *op, const struct dev_info *info)
{
        const struct correlation c = correlation_forward(op);
        return packed_floats(&c, info);
}

uint64_t conv_tiled_data_floats(const struct op *op, const struct dev_info *info)
{
        const struct correlation c = correlation_data(op, (int[]){0, 0}); /* no phase has more taps */
        return packed_floats(&c, info);
}
