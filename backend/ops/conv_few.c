#include "ops/conv_few.h"
#include "ops/conv.h"
#include "ops/epilogue.h"

#include <limits.h>

/* TILE and MOST of the kernels; sums that are worth a column; floats that a work-item copies at least;
   work-groups that keep all cores busy to the end. */
enum { TILE = 8, MOST = 18, LEAST_LENGTH = 64, LEAST_COPY = 4096, GROUPS_PER_UNIT = 4 };

static uint64_t image_floats(const struct op *op)
{
        const struct conv_args *a = op->args;
        return (uint64_t)op->params[0].fan_in * (uint64_t)(op->out.h * op->out.w) * (uint64_t)a->groups;
}

bool conv_few_fits(const struct op *op, const struct dev_info *info)
{
        return info->type == DEV_CPU && (int64_t)op->out.h * op->out.w <= MOST &&
               op->params[0].fan_in >= LEAST_LENGTH && image_floats(op) < INT_MAX / 4;
}

uint64_t conv_few_floats(const struct op *op, int n)
{
        return image_floats(op) * (uint64_t)n;
}

static int make_columns(const struct op *op, const struct op_call *call, struct err *e)
{
        const struct conv_args *a = op->args;
        const int ins = op->in[0].c / a->groups, copies = op->params[0].fan_in / ins * op->out.h * op->out.w;
        const int share = op_ceil_div(LEAST_COPY, copies);
        char options[OP_OPTIONS];
        struct launch l =
                launch_begin(call->dev, "conv_few", op_options(options, 1, NULL), "conv_few_columns");
        launch_tensor(&l, &call->x[0]);
        launch_view(&l, &call->workspace);
        launch_ulong(&l, image_floats(op));
        conv_geometry(&l, op);
        launch_int(&l, share);
        const size_t grid[] = {(size_t)op_ceil_div(ins, share), (size_t)a->groups, (size_t)call->y.n};
        return launch_grid(&l, 3, grid, (size_t[]){1, 1, 1}, e);
}

int conv_few_forward(const struct op *op, const struct op_call *call, struct err *e)
{
        const struct conv_args *a = op->args;
        const int outs = op->out.c / a->groups, tiles = op_ceil_div(outs, TILE);
        const int wanted = op_ceil_div(GROUPS_PER_UNIT * dev_info(call->dev)->compute_units, a->groups);
        const int range = op_ceil_div(tiles, wanted < tiles ? wanted : tiles);
        const int rc = make_columns(op, call, e);
        if (rc)
                return rc;
        char options[OP_OPTIONS];
        struct launch l = launch_begin(call->dev, "conv_few", op_options(options, 1, NULL), "conv_few");
        launch_view(&l, &call->workspace);
        launch_ulong(&l, image_floats(op));
        launch_view(&l, &call->params[0]);
        launch_view(&l, &call->params[a->bias ? 1 : 0]);
        launch_tensor(&l, &call->y);
        launch_ints(&l, op->params[0].fan_in, outs, op->out.h * op->out.w, a->bias, range * TILE);
        launch_epilogue(&l, call);
        const size_t grid[] = {(size_t)op_ceil_div(tiles, range), (size_t)a->groups, (size_t)call->y.n};
        return launch_grid(&l, 3, grid, (size_t[]){1, 1, 1}, e);
}
