#include "ops/conv.h"
#include "ops/conv_local.h"
#include "ops/correlation.h"
#include "ops/epilogue.h"
#include "ops/kinds.h"

#include <limits.h>

/* Kernels and their arguments are described in kernels/conv_winograd_local.cl. [0] is height, [1] is width.
 */

/* Of what stands at the points at a time: no more than a layer's input, output and weights at the points
   together, within LEAST_FLOATS and MOST_FLOATS, so that much of it is still in the device's cache when it is
   read again. ALIGN: floats, of tensors in scratch. */
enum {
        SIDE = 6,
        POINTS = SIDE * SIDE,
        LEAST_FLOATS = 1 << 20,
        MOST_FLOATS = 16 << 20,
        ALIGN = 32,
        LEAST_CHANNELS = 8
};

/* How a layer's tiles are cut into parts: all rows of some blocks, or some rows of one. */
struct parts {
        int rows, columns, blocks; /* all there are: rows and columns of tiles */
        int rows_each, blocks_each;
        int bands, count;
};

struct part {
        int row, rows, block, blocks;
};

static int step_of(const struct op *op)
{
        const struct conv_args *a = op->args;
        return SIDE - a->kernel_size[0] + 1;
}

static uint64_t aligned(uint64_t floats)
{
        return (floats + ALIGN - 1) / ALIGN * ALIGN;
}

/* Of one point: weights of one kind stand there as often as there are kernels. */
static int kernels_of(const struct op *op)
{
        return op->out.c * op->params[0].dims[1];
}

static uint64_t row_floats(const struct op *op, int columns)
{
        return (uint64_t)POINTS * (uint64_t)(op->in[0].c + op->out.c) * (uint64_t)columns * CONV_LOCAL_LANES;
}

static uint64_t weights_floats(const struct op *op)
{
        return aligned((uint64_t)POINTS * (uint64_t)kernels_of(op));
}

/* `over`: what the tiles of outputs cover. */
static struct parts cut_of(const struct op *op, struct shape over, int blocks)
{
        const uint64_t own = (uint64_t)(shape_count(op->in[0]) + shape_count(op->out)) *
                                     (uint64_t)(blocks * CONV_LOCAL_LANES) +
                             weights_floats(op);
        const uint64_t most = own < LEAST_FLOATS ? LEAST_FLOATS : own < MOST_FLOATS ? own : MOST_FLOATS;
        struct parts p = {.rows = op_ceil_div(over.h, step_of(op)),
                .columns = op_ceil_div(over.w, step_of(op)),
                .blocks = blocks,
                .blocks_each = 1};
        const uint64_t row = row_floats(op, p.columns), rows = most / row;
        p.rows_each = rows < 1 ? 1 : rows < (uint64_t)p.rows ? (int)rows : p.rows;
        if (p.rows_each == p.rows) {
                const uint64_t images = most / (row * (uint64_t)p.rows);
                p.blocks_each = images < 1 ? 1 : images < (uint64_t)blocks ? (int)images : blocks;
        }
        p.bands = op_ceil_div(p.rows, p.rows_each);
        p.count = p.bands * op_ceil_div(blocks, p.blocks_each);
        return p;
}

static struct part part_of(const struct parts *p, int i)
{
        struct part one = {.row = i % p->bands * p->rows_each, .block = i / p->bands * p->blocks_each};
        one.rows = p->rows - one.row < p->rows_each ? p->rows - one.row : p->rows_each;
        one.blocks = p->blocks - one.block < p->blocks_each ? p->blocks - one.block : p->blocks_each;
        return one;
}

/* The products at the points as the convolution that they are. Its args are the caller's. */
static struct op product_of(const struct op *op, bool data, const struct parts *cut, const struct part *part,
        struct conv_args *args)
{
        const struct conv_args *a = op->args;
        const int ins = data ? op->out.c : op->in[0].c, outs = data ? op->in[0].c : op->out.c;
        *args = (struct conv_args){POINTS * outs, {1, 1}, {1, 1}, {0, 0}, {1, 1}, POINTS * a->groups, false};
        return (struct op){.kind = &op_conv2d,
                .args = args,
                .num_inputs = 1,
                .in = {{POINTS * ins, part->rows, cut->columns}},
                .out = {POINTS * outs, part->rows, cut->columns},
                .num_params = 1,
                .params = {{.ndim = 4,
                        .dims = {POINTS * outs, ins / a->groups, 1, 1},
                        .fan_in = ins / a->groups}}};
}

/* The blocks of a part, of which the last may not be full. */
static struct tensor blocks_of(const struct tensor *t, const struct part *part)
{
        struct tensor some = *t;
        const int before = part->block * t->lanes, most = part->blocks * t->lanes;
        some.at.offset += (uint64_t)part->block * t->stride;
        some.n = t->n - before < most ? t->n - before : most;
        return some;
}

/* The next tensor of a call's scratch, which holds weights at the points, or their gradient; the two tensors
   of a part; what their product takes. */
static struct tensor scratch_tensor(struct view *scratch, int n, struct shape s)
{
        const struct tensor t = tensor_whole(*scratch, n, s, CONV_LOCAL_LANES);
        scratch->offset += aligned(tensor_floats(n, s, CONV_LOCAL_LANES));
        return t;
}

static struct launch begin(const struct op *op, const struct op_call *call, const char *name, char *options)
{
        const struct conv_args *a = op->args;
        op_options(options, CONV_LOCAL_LANES, "-DTAPS=%d", a->kernel_size[0]);
        return launch_begin(call->dev, "conv_winograd_local", options, name);
}

/* What the kernels call TILES, for the layer's tensor `t`. */
static void bind_tiles(
        struct launch *l, const struct tensor *t, const struct parts *cut, const struct part *part)
{
        launch_ints(l, t->s.c, t->s.h, t->s.w, part->row, part->rows, cut->columns);
}

static int over_tiles(struct launch *l, const struct tensor *t, const struct parts *cut,
        const struct part *part, struct err *e)
{
        const size_t items = (size_t)t->s.c * (size_t)part->rows * (size_t)cut->columns * CONV_LOCAL_LANES;
        return launch_over(l, 2, (size_t[]){items, (size_t)part->blocks}, e);
}

/* The first kernel reads tiles of inputs that begin at `first` from their outputs; NULL: tiles of gradients.
 */
static int to_points(const struct op *op, const struct op_call *call, const struct tensor *from,
        const struct tensor *to, const struct parts *cut, const struct part *part, const int *first,
        struct err *e)
{
        char options[OP_OPTIONS];
        const struct tensor some = blocks_of(from, part);
        struct launch l = begin(
                op, call, first ? "conv_winograd_local_inputs" : "conv_winograd_local_gradients", options);
        launch_tensor(&l, &some);
        launch_tensor(&l, to);
        bind_tiles(&l, &some, cut, part);
        if (first)
                launch_ints(&l, first[0], first[1]);
        return over_tiles(&l, &some, cut, part, e);
}

static int from_points(const struct op *op, const struct op_call *call, const struct tensor *from,
        const struct tensor *to, const struct parts *cut, const struct part *part, const struct view *bias,
        bool accumulate, struct err *e)
{
        char options[OP_OPTIONS];
        const struct tensor some = blocks_of(to, part);
        struct launch l = begin(op, call, "conv_winograd_local_outputs", options);
        launch_tensor(&l, from);
        launch_view(&l, bias ? bias : &from->at);
        launch_tensor(&l, &some);
        bind_tiles(&l, &some, cut, part);
        launch_ints(&l, bias != NULL, accumulate);
        launch_epilogue(&l, call);
        return over_tiles(&l, &some, cut, part, e);
}

static int weights_to_points(
        const struct op *op, const struct op_call *call, const struct correlation *c, struct err *e)
{
        char options[OP_OPTIONS];
        struct launch l = begin(op, call, "conv_winograd_local_weights", options);
        launch_view(&l, &call->params[0]);
        launch_view(&l, &call->workspace);
        launch_ints(&l, kernels_of(op), c->outs, c->ins, c->weights_group, c->weights_out, c->weights_in,
                c->tap_first[0] + c->tap_first[1], c->tap_step[0], c->tap_step[1]);
        return launch_over(&l, 1, (size_t[]){(size_t)kernels_of(op)}, e);
}

static int correlate(const struct op *op, const struct op_call *call, bool data, const struct tensor *in,
        const struct tensor *out, const struct view *bias, bool accumulate, struct err *e)
{
        const struct correlation c = data ? correlation_data(op, (int[]){0, 0}) : correlation_forward(op);
        const struct parts cut = cut_of(op, out->s, tensor_blocks(out));
        int rc = weights_to_points(op, call, &c, e);
        for (int i = 0; i < cut.count && rc == 0; i++) {
                const struct part part = part_of(&cut, i);
                struct conv_args args;
                const struct op product = product_of(op, data, &cut, &part, &args);
                const int n = part.blocks * CONV_LOCAL_LANES;
                struct op_call inner = {
                        .dev = call->dev, .params = {call->workspace}, .workspace = call->workspace};
                inner.workspace.offset += weights_floats(op);
                inner.x[0] = scratch_tensor(&inner.workspace, n, product.in[0]);
                inner.y = scratch_tensor(&inner.workspace, n, product.out);
                rc = to_points(op, call, in, &inner.x[0], &cut, &part, c.in_first, e);
                if (rc == 0)
                        rc = conv_local_forward(&product, &inner, e);
                if (rc == 0)
                        rc = from_points(op, call, &inner.y, out, &cut, &part, bias, accumulate, e);
        }
        return rc;
}

bool conv_winograd_local_fits(const struct op *op, const struct dev_info *info)
{
        const struct conv_args *a = op->args;
        const int taps = a->kernel_size[0];
        if (a->stride[0] != 1 || a->stride[1] != 1 || conv_is_dilated(a) || taps != a->kernel_size[1] ||
                (taps != 3 && taps != 5))
                return false;
        /* Groups of few channels would leave most of a product's tile empty. */
        if (a->groups > 1 &&
                (op->in[0].c / a->groups < LEAST_CHANNELS || op->out.c / a->groups < LEAST_CHANNELS))
                return false;
        const int columns = op_ceil_div(op->in[0].w > op->out.w ? op->in[0].w : op->out.w, step_of(op));
        return conv_local_fits(info) && row_floats(op, columns) <= INT_MAX &&
               (int64_t)POINTS * kernels_of(op) <= INT_MAX;
}

int conv_winograd_local_forward(const struct op *op, const struct op_call *call, struct err *e)
{
        const struct conv_args *a = op->args;
        return correlate(op, call, false, &call->x[0], &call->y, a->bias ? &call->params[1] : NULL, false, e);
}

int conv_winograd_local_data(const struct op *op, const struct op_call *call, struct err *e)
{
        return correlate(op, call, true, &call->dy, &call->dx[0], NULL, call->accumulate_dx[0], e);
}

static int sum_points(const struct op *op, const struct op_call *call, struct err *e)
{
        char options[OP_OPTIONS];
        struct launch l = begin(op, call, "conv_winograd_local_sums", options);
        launch_view(&l, &call->workspace);
        launch_view(&l, &call->dparams[0]);
        launch_ints(&l, kernels_of(op), call->accumulate_dparams);
        return launch_over(&l, 1, (size_t[]){(size_t)kernels_of(op)}, e);
}

int conv_winograd_local_weights(const struct op *op, const struct op_call *call, struct err *e)
{
        const struct correlation c = correlation_forward(op);
        const struct parts cut = cut_of(op, op->out, tensor_blocks(&call->dy));
        int rc = 0;
        for (int i = 0; i < cut.count && rc == 0; i++) {
                const struct part part = part_of(&cut, i);
                struct conv_args args;
                const struct op product = product_of(op, false, &cut, &part, &args);
                const int n = part.blocks * CONV_LOCAL_LANES;
                struct op_call inner = {.dev = call->dev,
                        .dparams = {call->workspace},
                        .accumulate_dparams = i > 0,
                        .workspace = call->workspace};
                inner.workspace.offset += weights_floats(op);
                inner.x[0] = scratch_tensor(&inner.workspace, n, product.in[0]);
                inner.dy = scratch_tensor(&inner.workspace, n, product.out);
                rc = to_points(op, call, &call->x[0], &inner.x[0], &cut, &part, c.in_first, e);
                if (rc == 0)
                        rc = to_points(op, call, &call->dy, &inner.dy, &cut, &part, NULL, e);
                if (rc == 0)
                        rc = conv_local_weights(&product, &inner, e);
        }
        if (rc == 0)
                rc = sum_points(op, call, e);
        return rc || op->num_params < 2 || !call->dparams[1].buf ? rc : conv_local_bias(op, call, e);
}

/* The largest and the last of bands and of batches, in all their pairs. */
static uint64_t most_of_parts(
        const struct op *op, enum op_direction direction, int n, const struct dev_info *info)
{
        const struct parts cut =
                cut_of(op, direction == OP_DATA ? op->in[0] : op->out, op_ceil_div(n, CONV_LOCAL_LANES));
        const int last = cut.count - cut.bands, places[] = {0, cut.bands - 1, last, last + cut.bands - 1};
        uint64_t most = 0;
        for (int i = 0; i < 4; i++) {
                const struct part part = part_of(&cut, places[i]);
                struct conv_args args;
                const struct op product = product_of(op, direction == OP_DATA, &cut, &part, &args);
                const int samples = part.blocks * CONV_LOCAL_LANES;
                const uint64_t floats =
                        aligned(tensor_floats(samples, product.in[0], CONV_LOCAL_LANES)) +
                        aligned(tensor_floats(samples, product.out, CONV_LOCAL_LANES)) +
                        (direction == OP_WEIGHTS ? conv_local_weights_floats(&product, samples, info)
                                                 : conv_local_forward_floats(&product, samples, info));
                most = floats > most ? floats : most;
        }
        return most;
}

uint64_t conv_winograd_local_floats(
        const struct op *op, enum op_direction direction, int n, const struct dev_info *info)
{
        return weights_floats(op) + most_of_parts(op, direction, n, info);
}
