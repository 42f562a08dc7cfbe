#include "ops/layer_norm.h"
#include "ops/kinds.h"
#include "ref/ref.h"

#include <limits.h>

/* As in kernels/layer_norm.cl: elements of a group whose gradients of weight and bias a work-item of the
   tiled kernel sums up. */
enum { ELEMENTS = 16 };

int layer_norm_size(const struct layer_norm_args *a)
{
        int64_t size = 1;
        for (int i = 0; i < a->normalized_shape.count; i++)
                size *= a->normalized_shape.sizes[i];
        return (int)size;
}

/* (C,1,1) is PyTorch's (N,C) where one dimension is named, so that a flattened tensor is normalised over its
 * features. */
static int check(const struct op_dims *d, struct shape in, struct err *e)
{
        const int sides[] = {in.c, in.h, in.w}, *trailing = sides + 3 - d->count;
        const bool is_flat = in.h == 1 && in.w == 1 && d->count == 1;
        for (int i = 0; i < d->count; i++)
                if (d->sizes[i] != (is_flat ? in.c : trailing[i]))
                        return err_at(e, ERR_INVALID, "/normalized_shape",
                                is_flat ? "normalized_shape is not the input's %d features"
                                        : "normalized_shape does not name the last dimensions of the input "
                                          "%dx%dx%d",
                                in.c, in.h, in.w);
        if (shape_count(in) > INT_MAX / TENSOR_MAX_LANES)
                return err_set(e, ERR_TOO_LARGE, "%dx%dx%d is more than a layer may have", in.c, in.h, in.w);
        return 0;
}

static int layer_norm_shape(struct op *op, struct err *e)
{
        const struct layer_norm_args *a = op->args;
        const struct op_dims *d = &a->normalized_shape;
        int rc = check(d, op->in[0], e);
        if (rc)
                return rc;
        op->out = op->in[0];
        op->num_params = !a->elementwise_affine ? 0 : a->bias ? 2 : 1;
        for (int i = 0; i < op->num_params; i++) {
                struct op_param *p = &op->params[i];
                *p = (struct op_param){.name = i ? "bias" : "weight",
                        .ndim = d->count,
                        .init = i ? OP_INIT_ZERO : OP_INIT_ONE,
                        .trainable = true};
                for (int k = 0; k < d->count; k++)
                        p->dims[k] = d->sizes[k];
        }
        return 0;
}

static int groups_of(const struct op *op)
{
        return (int)(shape_count(op->out) / layer_norm_size(op->args));
}

static void layer_norm_needs(
        const struct op *op, int n, int lanes, const struct dev_info *info, struct op_needs *ret)
{
        const uint64_t blocks = (uint64_t)((n + lanes - 1) / lanes);
        (void)info;
        ret->num_saved = 1;
        ret->saved[0] = 2 * blocks * (uint64_t)groups_of(op) * (uint64_t)lanes;
}

static int64_t layer_norm_flops(const struct op *op)
{
        return 8 * shape_count(op->out);
}

static bool is_tiled(const struct op_call *c)
{
        return op_is_tiled(c) && c->y.lanes == 16;
}

/* Work-items of a work-group for tensors of 32 lanes; 0: not in groups. */
static int items_of(const struct op_call *c)
{
        enum { ITEMS = 256 };
        return op_is_tiled(c) && c->y.lanes == 32 ? op_group_items(dev_info(c->dev), ITEMS) : 0;
}

static struct launch begin(
        const struct op_call *c, const char *naive, const char *tiled, const char *in_groups)
{
        char options[OP_OPTIONS];
        if (items_of(c)) {
                op_options(options, c->y.lanes, "-DITEMS=%d", items_of(c));
                return launch_begin(c->dev, "layer_norm", options, in_groups);
        }
        return op_begin_layer(c->dev, c->y.lanes, is_tiled(c), is_tiled(c) ? tiled : naive);
}

/* Binds a parameter, or where there is none any buffer (a kernel's argument must be one) and false. */
static void launch_param(struct launch *l, const struct view *param, const struct op_call *c)
{
        launch_view(l, param->buf ? param : &c->x[0].at);
        launch_int(l, param->buf != NULL);
}

/* One work-item a group of a sample, or of all samples of a block; or one work-group. */
static int run_groups(struct launch *l, const struct op *op, const struct op_call *c, struct err *e)
{
        const size_t groups = (size_t)groups_of(op), blocks = (size_t)tensor_blocks(&c->y);
        launch_ints(l, c->y.n, groups_of(op), layer_norm_size(op->args));
        const size_t items = (size_t)items_of(c);
        if (items)
                return launch_grid(l, 2, (size_t[]){groups * items, blocks}, (size_t[]){items, 1}, e);
        if (is_tiled(c))
                return launch_grid(l, 2, (size_t[]){groups, blocks}, (size_t[]){1, 1}, e);
        return launch_over(l, 2, (size_t[]){groups * (size_t)c->y.lanes, blocks}, e);
}

static int layer_norm_forward(const struct op *op, const struct op_call *c, struct err *e)
{
        const struct layer_norm_args *a = op->args;
        const bool keep = c->saved[0].buf != NULL;
        struct launch l =
                begin(c, "layer_norm_forward", "layer_norm_forward_tiled", "layer_norm_forward_local");
        launch_tensor(&l, &c->x[0]);
        launch_tensor(&l, &c->y);
        launch_param(&l, &c->params[0], c);
        launch_param(&l, &c->params[1], c);
        launch_view(&l, keep ? &c->saved[0] : &c->y.at);
        launch_int(&l, keep);
        launch_float(&l, (float)a->eps);
        return run_groups(&l, op, c, e);
}

static int dx(const struct op *op, const struct op_call *c, struct err *e)
{
        struct launch l = begin(c, "layer_norm_dx", "layer_norm_dx_tiled", "layer_norm_dx_local");
        launch_tensor(&l, &c->x[0]);
        launch_tensor(&l, &c->dy);
        launch_tensor(&l, &c->dx[0]);
        launch_param(&l, &c->params[0], c);
        launch_view(&l, &c->saved[0]);
        launch_int(&l, c->accumulate_dx[0]);
        return run_groups(&l, op, c, e);
}

static int dparams(const struct op *op, const struct op_call *c, struct err *e)
{
        const int size = layer_norm_size(op->args);
        struct launch l =
                begin(c, "layer_norm_dparams", "layer_norm_dparams_tiled", "layer_norm_dparams_local");
        launch_tensor(&l, &c->x[0]);
        launch_tensor(&l, &c->dy);
        launch_param(&l, &c->dparams[0], c);
        launch_param(&l, &c->dparams[1], c);
        launch_view(&l, &c->saved[0]);
        launch_ints(&l, c->accumulate_dparams, c->y.n, groups_of(op), size);
        const size_t items = (size_t)items_of(c);
        if (items)
                return launch_grid(&l, 1, (size_t[]){(size_t)size * items}, (size_t[]){items}, e);
        if (is_tiled(c))
                return launch_grid(&l, 1, (size_t[]){(size_t)op_ceil_div(size, ELEMENTS)}, (size_t[]){1}, e);
        return launch_over(&l, 1, (size_t[]){(size_t)size}, e);
}

static int layer_norm_backward(const struct op *op, const struct op_call *c, struct err *e)
{
        int rc = 0;
        if (c->dparams[0].buf || c->dparams[1].buf)
                rc = dparams(op, c, e);
        return rc || !c->dx[0].at.buf ? rc : dx(op, c, e);
}

static const struct op_field layer_norm_fields[] = {
        {"normalized_shape", OP_DIMS, offsetof(struct layer_norm_args, normalized_shape), true, 0, 1, 1 << 24,
                NULL},
        {"eps", OP_NUMBER, offsetof(struct layer_norm_args, eps), false, 1e-5, 1e-12, 1, NULL},
        {"elementwise_affine", OP_BOOL, offsetof(struct layer_norm_args, elementwise_affine), false, 1, 0, 1,
                NULL},
        {"bias", OP_BOOL, offsetof(struct layer_norm_args, bias), false, 1, 0, 1, NULL},
        {0},
};

static const struct op_example layer_norm_examples[] = {
        {&(const struct layer_norm_args){{3, {3, 5, 2}}, 1e-5, true, true}, {3, 5, 2}, 19},
        {&(const struct layer_norm_args){{1, {4}}, 1e-5, true, false}, {2, 3, 4}, 3},
        {0},
};

const struct op_kind op_layer_norm = {
        .type = "layer_norm",
        .doc = "normalises the last dimensions of each sample, then scales and shifts them (Ba, Kiros, "
               "Hinton 2016)",
        .args_bytes = sizeof(struct layer_norm_args),
        .fields = layer_norm_fields,
        .num_inputs = 1,
        .backward_reads = OP_READS_X,
        .shape = layer_norm_shape,
        .needs = layer_norm_needs,
        .flops = layer_norm_flops,
        .forward = layer_norm_forward,
        .backward = layer_norm_backward,
        .ref = &ref_layer_norm,
        .examples = layer_norm_examples,
};
