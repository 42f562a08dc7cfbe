#include "ops/conv_local.h"
#include "ops/conv.h"
#include "ops/correlation.h"
#include "ops/epilogue.h"

#include <stdio.h>

/* Kernels and their arguments are described in kernels/conv_local.cl. */

/* Strides whose phases are still worth a launch each. Floats of a tensor in scratch begin where vectors of 32
   are aligned. */
enum { MOST_PHASES = 16, ALIGN = 32 };

/* Sums of a work-group and of a work-item; `cost` of a step in clocks of a scheduler for all its groups of
   32: instructions issued, counted in NVIDIA's code (tests/bench/ptx_report), and in tf32 the eight clocks
   that each of its products takes on an A100, where these are more. */
struct tile {
        int m, n, sums_m, cost;
};

enum { TILES = 5, SUMS_N = 8 };

/* Of a precision: the places of the sum of a step, what a line of a tile is longer in local memory, and how
   many work-items the registers of a compute unit hold. */
static const struct tiling {
        int depth, pad, items_per_unit;
        struct tile tiles[TILES];
} tilings[] = {
        [OP_FP32] = {8, 4, 512,
                {{128, 128, 8, 4984}, {64, 128, 8, 2608}, {32, 128, 4, 1504}, {16, 128, 4, 864},
                        {16, 64, 4, 441}}},
        [OP_TF32] = {16, 2, 256,
                {{128, 128, 16, 2048}, {64, 128, 8, 1024}, {32, 128, 8, 691}, {16, 128, 4, 617},
                        {16, 64, 4, 328}}},
};

/* How a product is cut into work-groups. */
struct cut {
        enum op_precision precision;
        struct tile tile;
        int groups, tiles_m, tiles_n;
        int share, splits; /* of the sum: places of a split */
};

static int items_of(const struct tile *t)
{
        return t->m / t->sums_m * (t->n / SUMS_N);
}

/* Where tf32 is emulated, fragments go through local memory: of a work-item 32 floats at most. */
static bool fits(const struct tile *t, enum op_precision precision, const struct dev_info *info)
{
        const struct tiling *of = &tilings[precision];
        const size_t items = (size_t)items_of(t),
                     tiles = 2 * (size_t)(of->depth * (t->m + t->n + 2 * of->pad));
        const bool exchanges = precision == OP_TF32 && info->tf32 == DEV_TF32_EMULATED;
        return items <= info->max_work_group &&
               sizeof(float) * (tiles + (exchanges ? items * 32 : 0)) <= info->local_bytes;
}

bool conv_local_fits(const struct dev_info *info)
{
        return fits(&tilings[OP_FP32].tiles[TILES - 1], OP_FP32, info) &&
               (info->tf32 == DEV_TF32_NONE || fits(&tilings[OP_TF32].tiles[TILES - 1], OP_TF32, info));
}

/* The sum's share of a split, of `most` at most, in units of `unit`: what takes the fewest rounds of all
   work-groups that run at once, where beginning and joining a split count as much as OVERHEAD places of the
   sum. */
static int share_of(const struct cut *c, int64_t length, int unit, int most, const struct dev_info *info)
{
        enum { OVERHEAD = 64 };
        const int items = items_of(&c->tile), room = tilings[c->precision].items_per_unit;
        const int64_t per_unit = items < room ? room / items : 1;
        const int64_t count = (int64_t)c->groups * c->tiles_m * c->tiles_n,
                      units = (length + unit - 1) / unit;
        const int64_t at_once = info->compute_units > 0 ? per_unit * info->compute_units : per_unit;
        int64_t best = units, best_cost = 0;
        for (int64_t splits = 1; splits <= most && splits <= units; splits++) {
                const int64_t share = (units + splits - 1) / splits;
                const int64_t rounds = (count * ((units + share - 1) / share) + at_once - 1) / at_once;
                const int64_t cost = rounds * (share * unit + OVERHEAD);
                if (best_cost && cost >= best_cost)
                        continue;
                best = share;
                best_cost = cost;
                if (count >= 2 * at_once)
                        break;
        }
        return (int)best;
}

/* The tile that costs least over `m` times `n` sums a group. */
static struct cut cut_of(
        int groups, int m, int64_t n, enum op_precision precision, const struct dev_info *info)
{
        struct cut c = {.precision = precision, .groups = groups};
        int64_t best = 0;
        for (int i = 0; i < TILES; i++) {
                const struct tile *t = &tilings[precision].tiles[i];
                const int64_t tiles_m = op_ceil_div(m, t->m), tiles_n = (n + t->n - 1) / t->n;
                const int64_t cost = tiles_m * tiles_n * t->cost;
                if (!fits(t, precision, info) || (best && cost >= best))
                        continue;
                best = cost;
                c.tile = *t;
                c.tiles_m = (int)tiles_m;
                c.tiles_n = (int)tiles_n;
        }
        return c;
}

static struct cut cut_correlation(
        const struct correlation *k, int blocks, enum op_precision precision, const struct dev_info *info)
{
        enum { UNIT = 16, MOST_SPLITS = 256 };
        const int length = k->ins * k->taps[0] * k->taps[1];
        const int64_t pixels = (int64_t)blocks * k->size[0] * k->size[1];
        struct cut c = cut_of(k->groups, k->outs, pixels * CONV_LOCAL_LANES, precision, info);
        c.share = share_of(&c, length, UNIT, MOST_SPLITS, info) * UNIT;
        c.splits = length ? op_ceil_div(length, c.share) : 1;
        return c;
}

static struct cut cut_weights(
        const struct op *op, int blocks, enum op_precision precision, const struct dev_info *info)
{
        /* A first layer has few weights, and every pixel of a batch is of their sums. */
        enum { MOST_SPLITS = 1024 };
        const struct conv_args *a = op->args;
        const int pixels = blocks * op->out.h * op->out.w;
        struct cut c = cut_of(a->groups, op->out.c / a->groups, op->params[0].fan_in, precision, info);
        c.share = share_of(&c, (int64_t)pixels * CONV_LOCAL_LANES, CONV_LOCAL_LANES, MOST_SPLITS, info);
        c.splits = op_ceil_div(pixels, c.share);
        return c;
}

static uint64_t aligned(uint64_t floats)
{
        return (floats + ALIGN - 1) / ALIGN * ALIGN;
}

/* Weights in the order in which the gradient of the input reads them; 0 where they are in it. */
static uint64_t turned_floats(const struct correlation *k)
{
        return k->weights_out == 1 ? 0
                                   : aligned((uint64_t)k->groups * (uint64_t)k->outs * (uint64_t)k->ins *
                                             (uint64_t)(k->taps[0] * k->taps[1]));
}

static uint64_t part_floats(const struct correlation *k, const struct cut *c, int blocks)
{
        const uint64_t vectors = (uint64_t)blocks * (uint64_t)(k->size[0] * k->size[1]);
        return c->splits == 1
                       ? 0
                       : (uint64_t)c->splits * (uint64_t)(k->groups * k->outs) * vectors * CONV_LOCAL_LANES;
}

/* In fp32 a tile is made for the registers that let items_per_unit work-items run at once: a few more, and
 * half as many would. */
static const char *options_of(char *out, const struct op_call *call, const struct tile *t, bool turned)
{
        enum { REGISTERS = 65536 };
        const enum dev_tf32 has = dev_info(call->dev)->tf32;
        const bool tf32 = call->precision == OP_TF32, rounds = tf32 && has == DEV_TF32_ROUNDING_UNITS,
                   units = rounds || (tf32 && has == DEV_TF32_UNITS);
        char limit[32] = "";
        if (!tf32 && dev_info(call->dev)->limits_registers)
                snprintf(limit, sizeof limit, " -cl-nv-maxrregcount=%d",
                        REGISTERS / tilings[OP_FP32].items_per_unit);
        return op_options(out, CONV_LOCAL_LANES,
                "-DTILE_M=%d -DTILE_N=%d -DSUMS_M=%d -DTURNED=%d -DTF32=%d -DTF32_UNITS=%d "
                "-DTF32_ROUNDS=%d%s",
                t->m, t->n, t->sums_m, turned, tf32, units, rounds, limit);
}

static int over_tiles(struct launch *l, const struct cut *c, struct err *e)
{
        const size_t items = (size_t)items_of(&c->tile);
        const size_t count = (size_t)c->groups * (size_t)c->tiles_m * (size_t)c->tiles_n;
        return launch_grid(l, 2, (size_t[]){count * items, (size_t)c->splits}, (size_t[]){items, 1}, e);
}

static int turn(const struct op_call *call, const struct correlation *k, const char *options, struct err *e)
{
        const int count = k->groups * k->outs * k->ins * k->taps[0] * k->taps[1];
        struct launch l = launch_begin(call->dev, "conv_local", options, "conv_local_turn");
        launch_view(&l, &call->params[0]);
        launch_view(&l, &call->workspace);
        launch_ints(&l, count, k->ins, k->outs, k->taps[0], k->taps[1], k->weights_group, k->weights_out,
                k->weights_in, k->tap_first[0] + k->tap_first[1], k->tap_step[0], k->tap_step[1]);
        return launch_over(&l, 1, (size_t[]){(size_t)count}, e);
}

/* What both kernels of a correlation know of the pixels they write. */
static void bind_pixels(struct launch *l, const struct correlation *k, const struct tensor *out)
{
        launch_ints(l, k->size[0], k->size[1], out->s.h, out->s.w, k->out_step[0], k->out_step[1],
                k->out_first[0], k->out_first[1]);
}

/* Work-items that add up the parts of one float, of LAUNCH_GROUP. */
static int sharers_of(int splits)
{
        enum { MANY = 16, SHARERS = 8 };
        return splits < MANY ? 1 : SHARERS;
}

/* Work-items for `floats` of so many splits. */
static size_t joining(uint64_t floats, int splits)
{
        const uint64_t wide = (uint64_t)(LAUNCH_GROUP / sharers_of(splits));
        return (size_t)((floats + wide - 1) / wide * LAUNCH_GROUP);
}

static int join(const struct op_call *call, const struct correlation *k, const struct cut *c,
        const char *options, const struct view *parts, const struct view *bias, const struct tensor *out,
        bool accumulate, struct err *e)
{
        const int blocks = tensor_blocks(out);
        const uint64_t floats = (uint64_t)blocks * (uint64_t)(k->size[0] * k->size[1]) * CONV_LOCAL_LANES;
        struct launch l = launch_begin(call->dev, "conv_local", options, "conv_local_join");
        launch_view(&l, parts);
        launch_view(&l, bias ? bias : parts);
        launch_tensor(&l, out);
        bind_pixels(&l, k, out);
        launch_ints(
                &l, blocks, k->groups * k->outs, c->splits, sharers_of(c->splits), bias != NULL, accumulate);
        launch_epilogue(&l, call);
        return launch_over(&l, 2, (size_t[]){joining(floats, c->splits), (size_t)(k->groups * k->outs)}, e);
}

/* `turned`: the weights are read across, from the workspace unless they lie so already. */
static int correlate(const struct op_call *call, const struct correlation *k, const struct tensor *in,
        const struct tensor *out, const struct view *bias, bool turned, bool accumulate, struct err *e)
{
        const int blocks = tensor_blocks(in), taps = k->taps[0] * k->taps[1];
        const struct cut c = cut_correlation(k, blocks, call->precision, dev_info(call->dev));
        const uint64_t moved = turned ? turned_floats(k) : 0;
        const struct view parts = {call->workspace.buf, call->workspace.offset + moved};
        const struct view *scratch = c.splits > 1 ? &parts : &out->at;
        char options[OP_OPTIONS];
        options_of(options, call, &c.tile, turned);
        int rc = moved ? turn(call, k, options, e) : 0;
        if (rc)
                return rc;
        struct launch l = launch_begin(call->dev, "conv_local", options, "conv_local");
        launch_tensor(&l, in);
        launch_view(&l, moved ? &call->workspace : &call->params[0]);
        launch_view(&l, bias ? bias : &out->at);
        launch_tensor(&l, out);
        launch_view(&l, scratch);
        bind_pixels(&l, k, out);
        launch_ints(&l, k->groups, k->ins, in->s.h, in->s.w, k->outs, k->taps[0], k->taps[1], k->in_step[0],
                k->in_step[1], k->in_first[0], k->in_first[1], k->in_tap[0], k->in_tap[1],
                moved ? k->outs * k->ins * taps : k->weights_group, turned ? 1 : k->weights_out,
                !turned ? 1
                : moved ? k->outs
                        : k->weights_in,
                blocks, c.share, bias != NULL, accumulate);
        launch_epilogue(&l, call);
        rc = over_tiles(&l, &c, e);
        return rc || c.splits == 1 ? rc : join(call, k, &c, options, &parts, bias, out, accumulate, e);
}

int conv_local_forward(const struct op *op, const struct op_call *call, struct err *e)
{
        const struct conv_args *a = op->args;
        const struct correlation k = correlation_forward(op);
        return correlate(call, &k, &call->x[0], &call->y, a->bias ? &call->params[1] : NULL, false, false, e);
}

bool conv_local_data_fits(const struct op *op)
{
        const struct conv_args *a = op->args;
        return a->stride[0] <= MOST_PHASES && a->stride[0] * a->stride[1] <= MOST_PHASES;
}

static bool data_phase(const struct op *op, int i, struct correlation *ret)
{
        const struct conv_args *a = op->args;
        if (i >= a->stride[0] * a->stride[1])
                return false;
        *ret = correlation_data(op, (int[]){i / a->stride[1], i % a->stride[1]});
        return true;
}

int conv_local_data(const struct op *op, const struct op_call *call, struct err *e)
{
        struct correlation k;
        int rc = 0;
        for (int i = 0; rc == 0 && data_phase(op, i, &k); i++)
                if (k.size[0] > 0 && k.size[1] > 0)
                        rc = correlate(
                                call, &k, &call->dy, &call->dx[0], NULL, true, call->accumulate_dx[0], e);
        return rc;
}

static int join_weights(const struct op_call *call, const char *options, const struct view *parts,
        const struct view *to, uint64_t count, int splits, struct err *e)
{
        struct launch l = launch_begin(call->dev, "conv_local", options, "conv_local_join_weights");
        launch_view(&l, parts);
        launch_view(&l, to);
        launch_ulong(&l, count);
        launch_ints(&l, splits, sharers_of(splits), call->accumulate_dparams);
        return launch_over(&l, 1, (size_t[]){joining(count, splits)}, e);
}

/* In one launch where there is little to add. */
static int bias_gradient(const struct op *op, const struct op_call *call, const char *options, struct err *e)
{
        enum { FEW = 32 * LAUNCH_GROUP };
        const struct tensor *dy = &call->dy;
        const int blocks = tensor_blocks(dy), pixels = op->out.h * op->out.w;
        const bool is_little = (int64_t)blocks * pixels * (CONV_LOCAL_LANES / 4) <= FEW;
        const int each = is_little ? blocks : 1, shares = is_little ? 1 : blocks;
        const size_t grid[] = {LAUNCH_GROUP, (size_t)op->out.c, (size_t)shares};
        struct launch l = launch_begin(call->dev, "conv_local", options, "conv_local_bias");
        launch_tensor(&l, dy);
        launch_view(&l, is_little ? &call->dparams[1] : &call->workspace);
        launch_ints(&l, op->out.c, pixels, blocks, each, is_little && call->accumulate_dparams);
        const int rc = launch_grid(&l, 3, grid, (size_t[]){LAUNCH_GROUP, 1, 1}, e);
        return rc || is_little ? rc
                               : join_weights(call, options, &call->workspace, &call->dparams[1],
                                         (uint64_t)op->out.c, shares, e);
}

int conv_local_weights(const struct op *op, const struct op_call *call, struct err *e)
{
        const struct cut c = cut_weights(op, tensor_blocks(&call->dy), call->precision, dev_info(call->dev));
        char options[OP_OPTIONS];
        options_of(options, call, &c.tile, false);
        struct launch l = launch_begin(call->dev, "conv_local", options, "conv_local_weights");
        launch_tensor(&l, &call->x[0]);
        launch_tensor(&l, &call->dy);
        launch_view(&l, c.splits > 1 ? &call->workspace : &call->dparams[0]);
        conv_geometry(&l, op);
        launch_ints(&l, tensor_blocks(&call->dy), c.share, c.splits == 1 && call->accumulate_dparams);
        int rc = over_tiles(&l, &c, e);
        if (rc == 0 && c.splits > 1)
                rc = join_weights(call, options, &call->workspace, &call->dparams[0],
                        (uint64_t)op_param_count(&op->params[0]), c.splits, e);
        if (rc == 0 && op->num_params == 2 && call->dparams[1].buf)
                rc = bias_gradient(op, call, options, e);
        return rc;
}

int conv_local_bias(const struct op *op, const struct op_call *call, struct err *e)
{
        const struct tile *t = &tilings[call->precision].tiles[TILES - 1];
        char options[OP_OPTIONS];
        return bias_gradient(op, call, options_of(options, call, t, false), e);
}

static void raise(uint64_t *most, uint64_t floats)
{
        if (floats > *most)
                *most = floats;
}

/* The last precision of a device: what it needs is that of the hungriest. */
static int last_precision(const struct dev_info *info)
{
        return info->tf32 == DEV_TF32_NONE ? OP_FP32 : OP_TF32;
}

uint64_t conv_local_forward_floats(const struct op *op, int n, const struct dev_info *info)
{
        const int blocks = op_ceil_div(n, CONV_LOCAL_LANES);
        const struct correlation k = correlation_forward(op);
        uint64_t most = 0;
        for (int p = OP_FP32; p <= last_precision(info); p++) {
                const struct cut c = cut_correlation(&k, blocks, (enum op_precision)p, info);
                raise(&most, part_floats(&k, &c, blocks));
        }
        return most;
}

uint64_t conv_local_weights_floats(const struct op *op, int n, const struct dev_info *info)
{
        const int blocks = op_ceil_div(n, CONV_LOCAL_LANES);
        uint64_t most = op->num_params == 2 ? (uint64_t)blocks * (uint64_t)op->out.c : 0; /* the bias' */
        for (int p = OP_FP32; p <= last_precision(info); p++) {
                const struct cut c = cut_weights(op, blocks, (enum op_precision)p, info);
                if (c.splits > 1)
                        raise(&most, (uint64_t)c.splits * (uint64_t)op_param_count(&op->params[0]));
        }
        return most;
}

static uint64_t data_floats(const struct correlation *k, int blocks, const struct dev_info *info)
{
        uint64_t most = 0;
        for (int p = OP_FP32; p <= last_precision(info); p++) {
                const struct cut c = cut_correlation(k, blocks, (enum op_precision)p, info);
                raise(&most, turned_floats(k) + part_floats(k, &c, blocks));
        }
        return most;
}

void conv_local_needs(const struct op *op, int n, const struct dev_info *info, struct op_needs *ret)
{
        const int blocks = op_ceil_div(n, CONV_LOCAL_LANES);
        struct correlation k;
        raise(&ret->workspace_forward, conv_local_forward_floats(op, n, info));
        for (int i = 0; conv_local_data_fits(op) && data_phase(op, i, &k); i++)
                raise(&ret->workspace_backward, data_floats(&k, blocks, info));
        raise(&ret->workspace_backward, conv_local_weights_floats(op, n, info));
}
