#include "ops/dropout.h"
#include "base/philox.h"
#include "ops/elementwise.h"
#include "ops/join.h"
#include "ops/kinds.h"
#include "ref/ref.h"

#include <math.h>

/* to = from * mask / (1 - p), or += that. */
static int mask(const struct op *op, const struct op_call *c, const struct tensor *from,
        const struct tensor *to, bool accumulate, struct err *e)
{
        const struct dropout_args *a = op->args;
        const int count = elementwise_count(c), elements = count / c->y.lanes;
        const bool is_tiled = op_is_tiled(c) && c->y.lanes == 16;
        const char *tiled = is_tiled ? "dropout_mask_tiled" : c->y.lanes == 32 ? "dropout_mask" : NULL;
        struct launch l = elementwise_begin(c, "dropout_mask", tiled);
        launch_tensor(&l, from);
        launch_tensor(&l, to);
        launch_view(&l, &c->vars);
        launch_ints(&l, OP_VAR_SEED, OP_VAR_STEP, OP_VAR_FIRST,
                (int)((unsigned)PHILOX_DROPOUT | (unsigned)c->layer << 8), (int)ceil(a->p * 16777216));
        launch_float(&l, a->p < 1 ? (float)(1 / (1 - a->p)) : 0);
        launch_int(&l, count);
        launch_int(&l, accumulate);
        if (is_tiled)
                return elementwise_run(&l, c, e);
        return launch_over(&l, 2,
                (size_t[]){
                        (size_t)op_ceil_div(elements, 4) * (size_t)c->y.lanes, (size_t)tensor_blocks(&c->y)},
                e);
}

static int dropout_forward(const struct op *op, const struct op_call *c, struct err *e)
{
        const bool in_place = c->y.at.buf == c->x[0].at.buf && c->y.at.offset == c->x[0].at.offset;
        if (c->training)
                return mask(op, c, &c->x[0], &c->y, false, e);
        return in_place ? 0 : join_copy(c, &c->x[0], &c->y, false, e);
}

static int dropout_backward(const struct op *op, const struct op_call *c, struct err *e)
{
        return c->dx[0].at.buf ? mask(op, c, &c->dy, &c->dx[0], c->accumulate_dx[0], e) : 0;
}

static const struct op_field dropout_fields[] = {
        {"p", OP_NUMBER, offsetof(struct dropout_args, p), false, 0.5, 0, 1, NULL},
        {0},
};

static const struct op_example dropout_examples[] = {
        {NULL, {3, 5, 7}, 19},
        {&(const struct dropout_args){0.2}, {2, 17, 9}, 3},
        {0},
};

const struct op_kind op_dropout = {
        .type = "dropout",
        .doc = "in training sets elements to zero with probability p and scales the others by 1/(1-p)",
        .args_bytes = sizeof(struct dropout_args),
        .fields = dropout_fields,
        .num_inputs = 1,
        .in_place = true,
        .shape = elementwise_shape,
        .flops = elementwise_flops,
        .forward = dropout_forward,
        .backward = dropout_backward,
        .ref = &ref_dropout,
        .examples = dropout_examples,
};
