#include "ops/batch_norm.h"
#include "ops/kinds.h"
#include "ref/ref.h"

enum { LEAST_CHANNELS = 4 };

static int batch_norm_shape(struct op *op, struct err *e)
{
        static const struct op_param params[BATCH_NORM_PARAMS] = {
                {.name = "weight", .ndim = 1, .init = OP_INIT_ONE, .trainable = true},
                {.name = "bias", .ndim = 1, .init = OP_INIT_ZERO, .trainable = true},
                {.name = "running_mean", .ndim = 1, .init = OP_INIT_ZERO},
                {.name = "running_var", .ndim = 1, .init = OP_INIT_ONE},
                {.name = "num_batches_tracked", .init = OP_INIT_ZERO, .counter = true},
        };
        const struct batch_norm_args *a = op->args;
        (void)e;
        op->out = op->in[0];
        for (int i = a->affine ? 0 : BATCH_NORM_MEAN; i < BATCH_NORM_PARAMS; i++) {
                struct op_param *p = &op->params[op->num_params++];
                *p = params[i];
                if (p->ndim)
                        p->dims[0] = op->in[0].c;
        }
        return 0;
}

static void batch_norm_needs(
        const struct op *op, int n, int lanes, const struct dev_info *info, struct op_needs *ret)
{
        const uint64_t blocks = (uint64_t)((n + lanes - 1) / lanes), channels = (uint64_t)op->out.c;
        (void)info;
        ret->num_saved = 1;
        ret->saved[0] = 2 * channels;
        ret->workspace_forward = ret->workspace_backward = 2 * channels * (blocks + 1);
}

static int64_t batch_norm_flops(const struct op *op)
{
        return 2 * shape_count(op->out);
}

/* Binds a parameter; a kernel's argument must be some buffer, also for a weight that is not there. */
static void launch_param(
        struct launch *l, const struct batch_norm_args *a, const struct op_call *c, int which)
{
        const int missing = a->affine ? 0 : BATCH_NORM_MEAN;
        launch_view(l, &c->params[which < missing ? 0 : which - missing]);
}

static const struct view *statistics(const struct batch_norm_args *a, const struct op_call *c, int which)
{
        return &c->params[a->affine ? which : which - BATCH_NORM_MEAN];
}

/* Binds what the kernels call OPTIONS. */
static void launch_options(struct launch *l, const struct batch_norm_args *a)
{
        launch_ints(
                l, a->affine, a->normalize != BATCH_NORM_VARIANCE_ONLY, a->normalize != BATCH_NORM_MEAN_ONLY);
}

/* The shape as kernels see it. */
struct extent {
        int n, channels, pixels, lanes;
        size_t blocks;
};

static struct extent extent_of(const struct op_call *c)
{
        const struct tensor *x = &c->x[0];
        return (struct extent){x->n, x->s.c, x->s.h * x->s.w, x->lanes, (size_t)tensor_blocks(x)};
}

static bool is_tiled(const struct op_call *c)
{
        return op_is_tiled(c) && c->x[0].lanes == 16;
}

/* By vectors of pixels, for single images. */
static bool is_single(const struct op_call *c)
{
        return op_is_tiled(c) && c->x[0].lanes == 1 && dev_info(c->dev)->type == DEV_CPU;
}

/* Vectors, and sums by work-groups, for devices that have many small cores. */
static bool is_grouped(const struct op_call *c)
{
        return op_is_tiled(c) && c->x[0].lanes == 32;
}

/* Work-items of a GPU that do all of a channel in one launch, for one that is small: at most 16 vectors each.
 * 0: none. */
static int whole_items_of(const struct op_call *c)
{
        enum { LEAST = 64, MOST = 1024, FLOATS_EACH = 64 };
        const struct tensor *x = &c->x[0];
        const int64_t floats = (int64_t)x->s.h * x->s.w * tensor_blocks(x) * x->lanes;
        for (int items = LEAST; items <= MOST; items *= 4)
                if (floats <= (int64_t)items * FLOATS_EACH)
                        return op_group_items(dev_info(c->dev), items) == items ? items : 0;
        return 0;
}

/* One work-item or work-group a channel does all of it, in one launch. Fewer channels would leave cores idle.
 */
static bool is_whole(const struct op_call *c)
{
        return c->x[0].s.c >= LEAST_CHANNELS && (is_tiled(c) || (is_grouped(c) && whole_items_of(c)));
}

static struct launch begin(const struct op_call *c, const char *kernel)
{
        return op_begin_layer(c->dev, c->x[0].lanes, is_tiled(c) || is_grouped(c), kernel);
}

/* Work-items that sum up a channel and block together: more where each has enough to do, for few of them
   cannot ask for as much memory at once as a large device brings. */
static int items_of(const struct op_call *c)
{
        enum { MOST = 256, FLOATS_EACH = 32 };
        const struct shape *s = &c->x[0].s;
        const bool is_large = (int64_t)s->h * s->w * c->x[0].lanes >= (int64_t)MOST * FLOATS_EACH;
        return op_group_items(dev_info(c->dev), is_large ? MOST : LAUNCH_GROUP);
}

static struct launch begin_grouped(const struct op_call *c, int items, const char *kernel)
{
        char options[OP_OPTIONS];
        op_options(options, c->x[0].lanes, "-DTILED=1 -DITEMS=%d", items);
        return launch_begin(c->dev, "batch_norm", options, kernel);
}

/* Of kernels that sum up a channel and block: one work-item, or a work-group. */
static struct launch begin_sums(const struct op_call *c, const char *each, const char *tiled)
{
        return is_grouped(c) ? begin_grouped(c, items_of(c), each) : begin(c, is_tiled(c) ? tiled : each);
}

static struct launch begin_whole(const struct op_call *c, const char *grouped, const char *tiled)
{
        return is_grouped(c) ? begin_grouped(c, whole_items_of(c), grouped) : begin(c, tiled);
}

static int run_whole(struct launch *l, const struct op_call *c, struct err *e)
{
        const size_t items = (size_t)whole_items_of(c), channels = (size_t)c->x[0].s.c;
        return is_grouped(c) ? launch_grid(l, 2, (size_t[]){items, channels}, (size_t[]){items, 1}, e)
                             : launch_grid(l, 1, (size_t[]){channels}, (size_t[]){1}, e);
}

static int run_channels(struct launch *l, const struct extent *x, struct err *e)
{
        return launch_grid(l, 1, (size_t[]){(size_t)x->channels}, (size_t[]){1}, e);
}

static int run_planes(struct launch *l, const struct extent *x, struct err *e)
{
        return launch_grid(l, 2, (size_t[]){(size_t)x->channels, x->blocks}, (size_t[]){1, 1}, e);
}

/* A work-item takes `width` floats. */
static int run_floats(struct launch *l, const struct extent *x, int width, struct err *e)
{
        const size_t items = (size_t)x->pixels * (size_t)(x->lanes / width);
        return launch_over(l, 3, (size_t[]){items, (size_t)x->channels, x->blocks}, e);
}

static int run_sums(struct launch *l, const struct op_call *c, const struct extent *x, struct err *e)
{
        if (!is_grouped(c))
                return run_planes(l, x, e);
        const size_t items = (size_t)items_of(c);
        return launch_grid(
                l, 3, (size_t[]){items, (size_t)x->channels, x->blocks}, (size_t[]){items, 1, 1}, e);
}

static int stats(const struct op_call *c, struct err *e)
{
        const struct extent x = extent_of(c);
        struct launch l = begin_sums(c, "batch_norm_stats", "batch_norm_stats_tiled");
        launch_tensor(&l, &c->x[0]);
        launch_view(&l, &c->workspace);
        launch_ints(&l, x.n, x.channels, x.pixels);
        return run_sums(&l, c, &x, e);
}

static int finish(const struct batch_norm_args *a, const struct op_call *c, struct err *e)
{
        const struct extent x = extent_of(c);
        struct launch l = begin(c, "batch_norm_finish");
        launch_view(&l, &c->workspace);
        for (int i = BATCH_NORM_MEAN; i < BATCH_NORM_PARAMS; i++)
                launch_param(&l, a, c, i);
        launch_view(&l, &c->saved[0]);
        launch_ints(&l, x.n, x.channels, x.pixels);
        launch_float(&l, (float)a->eps);
        launch_float(&l, (float)a->momentum);
        return run_channels(&l, &x, e);
}

/* With the batch's own statistics, else the running ones. */
static int apply(const struct batch_norm_args *a, const struct op_call *c, struct err *e)
{
        const struct extent x = extent_of(c);
        const struct view mean = c->training ? c->saved[0] : *statistics(a, c, BATCH_NORM_MEAN);
        const struct view spread =
                c->training ? (struct view){mean.buf, mean.offset + 1} : *statistics(a, c, BATCH_NORM_VAR);
        struct launch l = begin(c, is_tiled(c)    ? "batch_norm_apply_tiled"
                                   : is_single(c) ? "batch_norm_apply_single"
                                                  : "batch_norm_apply");
        launch_tensor(&l, &c->x[0]);
        launch_tensor(&l, &c->y);
        launch_param(&l, a, c, BATCH_NORM_WEIGHT);
        launch_param(&l, a, c, BATCH_NORM_BIAS);
        launch_options(&l, a);
        launch_view(&l, &mean);
        launch_view(&l, &spread);
        launch_int(&l, c->training ? 2 : 1);
        launch_int(&l, !c->training);
        launch_float(&l, (float)a->eps);
        launch_int(&l, (int)c->epilogue.activation);
        /* Running statistics are as good for what is padding, and an epilogue takes it along, too. */
        launch_ints(&l, c->training ? x.n : (int)x.blocks * x.lanes, x.pixels);
        return is_tiled(c) || is_single(c) ? run_planes(&l, &x, e)
                                           : run_floats(&l, &x, op_item_width(c, x.lanes), e);
}

static int forward_whole(const struct batch_norm_args *a, const struct op_call *c, struct err *e)
{
        const struct extent x = extent_of(c);
        struct launch l = begin_whole(c, "batch_norm_forward_whole", "batch_norm_forward_tiled");
        launch_tensor(&l, &c->x[0]);
        launch_tensor(&l, &c->y);
        for (int i = 0; i < BATCH_NORM_PARAMS; i++)
                launch_param(&l, a, c, i);
        launch_options(&l, a);
        launch_view(&l, &c->saved[0]);
        launch_int(&l, x.n);
        launch_int(&l, x.pixels);
        launch_float(&l, (float)a->eps);
        launch_float(&l, (float)a->momentum);
        launch_int(&l, (int)c->epilogue.activation);
        return run_whole(&l, c, e);
}

static int batch_norm_forward(const struct op *op, const struct op_call *c, struct err *e)
{
        const struct batch_norm_args *a = op->args;
        if (!c->training)
                return apply(a, c, e);
        if (is_whole(c))
                return forward_whole(a, c, e);
        int rc = stats(c, e);
        if (rc == 0)
                rc = finish(a, c, e);
        return rc ? rc : apply(a, c, e);
}

static void launch_gradients(struct launch *l, const struct op_call *c)
{
        /* Without affine these are the places of statistics, which have no gradient. */
        const struct view *dweight = &c->dparams[BATCH_NORM_WEIGHT], *dbias = &c->dparams[BATCH_NORM_BIAS];
        launch_view(l, dweight->buf ? dweight : &c->saved[0]);
        launch_view(l, dbias->buf ? dbias : &c->saved[0]);
        launch_ints(l, dweight->buf != NULL, dbias->buf != NULL, c->accumulate_dparams);
}

static int sums(const struct op_call *c, struct err *e)
{
        const struct extent x = extent_of(c);
        struct launch l = begin_sums(c, "batch_norm_sums", "batch_norm_sums_tiled");
        launch_tensor(&l, &c->x[0]);
        launch_tensor(&l, &c->dy);
        launch_view(&l, &c->saved[0]);
        launch_view(&l, &c->workspace);
        launch_ints(&l, x.n, x.channels, x.pixels);
        return run_sums(&l, c, &x, e);
}

static int finish_backward(const struct batch_norm_args *a, const struct op_call *c, struct err *e)
{
        const struct extent x = extent_of(c);
        struct launch l = begin(c, "batch_norm_finish_backward");
        launch_view(&l, &c->workspace);
        launch_view(&l, &c->saved[0]);
        launch_options(&l, a);
        launch_gradients(&l, c);
        launch_int(&l, x.n);
        launch_int(&l, x.channels);
        return run_channels(&l, &x, e);
}

static int dx(const struct batch_norm_args *a, const struct op_call *c, struct err *e)
{
        const struct extent x = extent_of(c);
        struct launch l = begin(c, is_tiled(c) ? "batch_norm_dx_tiled" : "batch_norm_dx");
        launch_tensor(&l, &c->x[0]);
        launch_tensor(&l, &c->dy);
        launch_tensor(&l, &c->dx[0]);
        launch_param(&l, a, c, BATCH_NORM_WEIGHT);
        launch_options(&l, a);
        launch_view(&l, &c->saved[0]);
        launch_view(&l, &c->workspace);
        launch_ints(&l, x.n, x.channels, c->accumulate_dx[0], x.pixels);
        return is_tiled(c) ? run_planes(&l, &x, e) : run_floats(&l, &x, op_item_width(c, x.lanes), e);
}

static int backward_whole(const struct batch_norm_args *a, const struct op_call *c, struct err *e)
{
        const struct extent x = extent_of(c);
        const bool want_dx = c->dx[0].at.buf != NULL;
        struct launch l = begin_whole(c, "batch_norm_backward_whole", "batch_norm_backward_tiled");
        launch_tensor(&l, &c->x[0]);
        launch_tensor(&l, &c->dy);
        launch_tensor(&l, want_dx ? &c->dx[0] : &c->dy);
        launch_param(&l, a, c, BATCH_NORM_WEIGHT);
        launch_options(&l, a);
        launch_view(&l, &c->saved[0]);
        launch_gradients(&l, c);
        launch_ints(&l, x.n, x.pixels, want_dx, c->accumulate_dx[0]);
        return run_whole(&l, c, e);
}

/* Of a frozen layer, which is a scale and a shift. */
static int frozen_backward(const struct batch_norm_args *a, const struct op_call *c, struct err *e)
{
        const struct extent x = extent_of(c);
        if (c->dparams[BATCH_NORM_WEIGHT].buf || c->dparams[BATCH_NORM_BIAS].buf)
                return err_set(
                        e, ERR_INTERNAL, "a batch norm in evaluation mode has no gradients of its own");
        if (!c->dx[0].at.buf)
                return 0;
        struct launch l = begin(c, "batch_norm_dx_frozen");
        launch_tensor(&l, &c->dy);
        launch_tensor(&l, &c->dx[0]);
        launch_param(&l, a, c, BATCH_NORM_WEIGHT);
        launch_options(&l, a);
        launch_param(&l, a, c, BATCH_NORM_VAR);
        launch_float(&l, (float)a->eps);
        launch_int(&l, c->accumulate_dx[0]);
        launch_int(&l, x.pixels);
        return run_floats(&l, &x, 1, e);
}

static int batch_norm_backward(const struct op *op, const struct op_call *c, struct err *e)
{
        const struct batch_norm_args *a = op->args;
        if (!c->training)
                return frozen_backward(a, c, e);
        if (is_whole(c))
                return backward_whole(a, c, e);
        int rc = sums(c, e);
        if (rc == 0)
                rc = finish_backward(a, c, e);
        return rc || !c->dx[0].at.buf ? rc : dx(a, c, e);
}

static const struct op_field batch_norm_fields[] = {
        {"eps", OP_NUMBER, offsetof(struct batch_norm_args, eps), false, 1e-5, 1e-12, 1, NULL},
        {"momentum", OP_NUMBER, offsetof(struct batch_norm_args, momentum), false, 0.1, 0, 1, NULL},
        {"affine", OP_BOOL, offsetof(struct batch_norm_args, affine), false, 1, 0, 1, NULL},
        {"normalize", OP_CHOICE, offsetof(struct batch_norm_args, normalize), false, BATCH_NORM_FULL, 0, 0,
                "full mean_only variance_only"},
        {0},
};

static const struct op_example batch_norm_examples[] = {
        {NULL, {5, 3, 4}, 35},
        {NULL, {2, 1, 1}, 17},
        {&(const struct batch_norm_args){1e-5, 0.1, false, BATCH_NORM_VARIANCE_ONLY}, {4, 3, 2}, 19},
        {0},
};

const struct op_kind op_batch_norm = {
        .type = "batch_norm",
        .doc = "normalises each channel over the batch, then scales and shifts it (Ioffe and Szegedy 2015)",
        .args_bytes = sizeof(struct batch_norm_args),
        .fields = batch_norm_fields,
        .num_inputs = 1,
        .backward_reads = OP_READS_X,
        .forward_in_place = true,
        .mixes_samples = true,
        .epilogues = OP_TAKES_ACTIVATION,
        .shape = batch_norm_shape,
        .needs = batch_norm_needs,
        .flops = batch_norm_flops,
        .forward = batch_norm_forward,
        .backward = batch_norm_backward,
        .ref = &ref_batch_norm,
        .examples = batch_norm_examples,
};
