#include "ops/elementwise.h"

static bool is_tiled(const struct op_call *c)
{
        return op_is_tiled(c) && c->y.lanes > 1;
}

int elementwise_run_vectors(struct launch *l, int lanes, size_t count, size_t blocks, struct err *e)
{
        enum { CPU_FLOATS = 256 * 16, GPU_FLOATS = 4 };
        if (lanes == 16)
                return launch_grid(
                        l, 2, (size_t[]){(count + CPU_FLOATS - 1) / CPU_FLOATS, blocks}, (size_t[]){1, 1}, e);
        return launch_over(l, 2, (size_t[]){lanes == 32 ? count / GPU_FLOATS : count, blocks}, e);
}

struct launch elementwise_begin(const struct op_call *c, const char *naive, const char *tiled)
{
        const bool by_vectors = tiled && is_tiled(c);
        return op_begin_layer(c->dev, c->y.lanes, by_vectors, by_vectors ? tiled : naive);
}

int elementwise_count(const struct op_call *c)
{
        return (int)shape_count(c->y.s) * c->y.lanes;
}

int elementwise_run(struct launch *l, const struct op_call *c, struct err *e)
{
        const size_t count = (size_t)elementwise_count(c), blocks = (size_t)tensor_blocks(&c->y);
        return is_tiled(c) ? elementwise_run_vectors(l, c->y.lanes, count, blocks, e)
                           : launch_over(l, 2, (size_t[]){count, blocks}, e);
}

int elementwise_shape(struct op *op, struct err *e)
{
        (void)e;
        op->out = op->in[0];
        return 0;
}

int64_t elementwise_flops(const struct op *op)
{
        return shape_count(op->out);
}
