#include "device/clblast.h"
#include "ops/conv.h"
#include "ops/epilogue.h"

/* A 1x1 convolution, block by block of samples: y_b (K x P) = w (K x C) x_b (C x P), where P counts the
   floats of a channel. Seen column by column, as CLBlast's kernel wants its result, that is y_b' (P x K) =
   x_b' (P x C) w' (C x K), and nothing but the weights has to be turned. linear is the same with one pixel.
 */

/* The part of a device's memory that the workspace of a layer may be. */
enum { MOST_SHARE = 16 };

static int floats_of_channel(const struct op *op, int lanes)
{
        return op->out.h * op->out.w * lanes;
}

uint64_t conv_clblast_floats(const struct op *op, int lanes, const struct dev_info *info)
{
        return clblast_workspace_floats(op->out.c, op->in[0].c, floats_of_channel(op, lanes), info);
}

bool conv_clblast_fits(const struct op *op, int lanes, const struct dev_info *info)
{
        const struct conv_args *a = op->args;
        return info->clblast && lanes > 1 && a->groups == 1 && a->kernel_size[0] == 1 &&
               a->kernel_size[1] == 1 && a->stride[0] == 1 && a->stride[1] == 1 && a->padding[0] == 0 &&
               a->padding[1] == 0 &&
               conv_clblast_floats(op, lanes, info) * sizeof(float) <= info->global_bytes / MOST_SHARE;
}

static struct view block_of(const struct tensor *t, int block)
{
        return (struct view){t->at.buf, t->at.offset + (uint64_t)block * t->stride};
}

/* What the products lack. */
static int finish(const struct op *op, const struct op_call *call, struct err *e)
{
        char options[OP_OPTIONS];
        const int pixels = op->out.h * op->out.w, count = op->out.c * pixels * call->y.lanes;
        struct launch l =
                launch_begin(call->dev, "conv", op_options(options, call->y.lanes, NULL), "conv_finish");
        launch_view(&l, &call->params[op->num_params - 1]);
        launch_tensor(&l, &call->y);
        launch_ints(&l, pixels, op->num_params == 2);
        launch_epilogue(&l, call);
        launch_int(&l, count);
        return launch_over(&l, 2, (size_t[]){(size_t)count, (size_t)tensor_blocks(&call->y)}, e);
}

int conv_clblast_forward(const struct op *op, const struct op_call *call, struct err *e)
{
        const int floats = floats_of_channel(op, call->y.lanes), ins = op->in[0].c, outs = op->out.c;
        int rc = 0;
        for (int b = 0; b < tensor_blocks(&call->y) && rc == 0; b++)
                rc = launch_gemm(call->dev,
                        &(const struct gemm){.a = block_of(&call->x[0], b),
                                .b = call->params[0],
                                .c = block_of(&call->y, b),
                                .workspace = call->workspace,
                                .m = floats,
                                .n = outs,
                                .k = ins,
                                .lda = floats,
                                .ldb = ins,
                                .ldc = floats},
                        e);
        return rc == 0 && (op->num_params == 2 || has_epilogue(call)) ? finish(op, call, e) : rc;
}

int conv_clblast_data(const struct op *op, const struct op_call *call, struct err *e)
{
        const int floats = floats_of_channel(op, call->dy.lanes), ins = op->in[0].c, outs = op->out.c;
        int rc = 0;
        for (int b = 0; b < tensor_blocks(&call->dy) && rc == 0; b++)
                rc = launch_gemm(call->dev,
                        &(const struct gemm){.a = block_of(&call->dy, b),
                                .b = call->params[0],
                                .turn_b = true,
                                .c = block_of(&call->dx[0], b),
                                .accumulate = call->accumulate_dx[0],
                                .workspace = call->workspace,
                                .m = floats,
                                .n = ins,
                                .k = outs,
                                .lda = floats,
                                .ldb = ins,
                                .ldc = floats},
                        e);
        return rc;
}

/* The blocks add up in their order. */
int conv_clblast_weights(const struct op *op, const struct op_call *call, struct err *e)
{
        const int floats = floats_of_channel(op, call->dy.lanes), ins = op->in[0].c, outs = op->out.c;
        int rc = 0;
        for (int b = 0; b < tensor_blocks(&call->dy) && rc == 0; b++)
                rc = launch_gemm(call->dev,
                        &(const struct gemm){.a = block_of(&call->x[0], b),
                                .turn_a = true,
                                .b = block_of(&call->dy, b),
                                .c = call->dparams[0],
                                .accumulate = call->accumulate_dparams || b > 0,
                                .workspace = call->workspace,
                                .m = ins,
                                .n = outs,
                                .k = floats,
                                .lda = floats,
                                .ldb = floats,
                                .ldc = ins},
                        e);
        return rc;
}
