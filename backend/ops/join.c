/* What the net puts in where branches meet: add for residual joins, copy for a part of a joined tensor that
   its producer cannot write there by itself. */
#include "ops/join.h"
#include "ops/elementwise.h"
#include "ops/kinds.h"
#include "ref/ref.h"

static int add_shape(struct op *op, struct err *e)
{
        const struct shape a = op->in[0], b = op->in[1];
        if (a.c != b.c || a.h != b.h || a.w != b.w)
                return err_set(
                        e, ERR_INVALID, "%dx%dx%d cannot be added to %dx%dx%d", b.c, b.h, b.w, a.c, a.h, a.w);
        op->out = a;
        return 0;
}

int join_copy(const struct op_call *c, const struct tensor *from, const struct tensor *to, bool accumulate,
        struct err *e)
{
        struct launch l = elementwise_begin(c, "join_copy", "join_copy_tiled");
        launch_tensor(&l, from);
        launch_tensor(&l, to);
        launch_int(&l, elementwise_count(c));
        launch_int(&l, accumulate);
        return elementwise_run(&l, c, e);
}

static int add_forward(const struct op *op, const struct op_call *c, struct err *e)
{
        (void)op;
        struct launch l = elementwise_begin(c, "join_add", "join_add_tiled");
        launch_tensor(&l, &c->x[0]);
        launch_tensor(&l, &c->x[1]);
        launch_tensor(&l, &c->y);
        launch_int(&l, elementwise_count(c));
        launch_int(&l, (int)c->epilogue.activation);
        return elementwise_run(&l, c, e);
}

static int copy_forward(const struct op *op, const struct op_call *c, struct err *e)
{
        (void)op;
        return join_copy(c, &c->x[0], &c->y, false, e);
}

/* Of both kinds. Both inputs of an add may be one value: then the second gradient is added to the first. */
static int join_backward(const struct op *op, const struct op_call *c, struct err *e)
{
        int rc = 0;
        for (int i = 0; i < op->num_inputs && rc == 0; i++) {
                const struct tensor *dx = &c->dx[i];
                const bool in_place = dx->at.buf == c->dy.at.buf && dx->at.offset == c->dy.at.offset;
                if (dx->at.buf && !in_place)
                        rc = join_copy(c, &c->dy, dx, c->accumulate_dx[i], e);
        }
        return rc;
}

static const struct op_field no_fields[] = {{0}};
static const struct op_example examples[] = {{NULL, {3, 5, 7}, 19}, {NULL, {2, 17, 9}, 3}, {0}};

const struct op_kind op_add = {
        .type = "add",
        .doc = "the sum of two branches",
        .fields = no_fields,
        .num_inputs = 2,
        .in_place = true,
        .epilogues = OP_TAKES_ACTIVATION,
        .internal = true,
        .shape = add_shape,
        .flops = elementwise_flops,
        .forward = add_forward,
        .backward = join_backward,
        .ref = &ref_add,
        .examples = examples,
};

const struct op_kind op_copy = {
        .type = "copy",
        .doc = "a branch copied into its part of a joined tensor",
        .fields = no_fields,
        .num_inputs = 1,
        .internal = true,
        .shape = elementwise_shape,
        .forward = copy_forward,
        .backward = join_backward,
        .ref = &ref_copy,
        .examples = examples,
};
