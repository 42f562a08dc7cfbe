#include "ops/elementwise.h"

/* Vectors that a work-item of the tiled kernels goes through. */
enum { CHUNK = 256 };

static bool is_tiled(const struct op_call *c)
{
        return op_is_tiled(c) && c->y.lanes == 16;
}

struct launch elementwise_begin(
        const struct op_call *c, const char *file, const char *naive, const char *tiled)
{
        char options[OP_OPTIONS];
        op_options(options, c->y.lanes, "-DTILED=%d -DCHUNK=%d", is_tiled(c), CHUNK);
        return launch_begin(c->dev, file, options, is_tiled(c) ? tiled : naive);
}

int elementwise_count(const struct op_call *c)
{
        return (int)shape_count(c->y.s) * c->y.lanes;
}

int elementwise_run(struct launch *l, const struct op_call *c, struct err *e)
{
        const size_t count = (size_t)elementwise_count(c), blocks = (size_t)tensor_blocks(&c->y);
        if (!is_tiled(c))
                return launch_over(l, 2, (size_t[]){count, blocks}, e);
        const size_t chunk = (size_t)CHUNK * (size_t)c->y.lanes;
        return launch_grid(l, 2, (size_t[]){(count + chunk - 1) / chunk, blocks}, (size_t[]){1, 1}, e);
}

int elementwise_shape(struct op *op, struct err *e)
{
        (void)e;
        op->out = op->in[0];
        return 0;
}
