#include "ref/ref.h"

static int64_t count_of(const struct op *op, const struct ref_call *c)
{
        return c->n * shape_count(op->out);
}

static void forward(const struct op *op, const struct ref_call *c)
{
        for (int64_t i = 0; i < count_of(op, c); i++) {
                c->y[i] = c->x[0][i];
                for (int k = 1; k < op->num_inputs; k++)
                        c->y[i] += c->x[k][i];
        }
}

static void backward(const struct op *op, const struct ref_call *c)
{
        for (int k = 0; k < op->num_inputs; k++)
                for (int64_t i = 0; i < count_of(op, c); i++)
                        c->dx[k][i] = c->dy[i];
}

const struct ref_op ref_add = {forward, backward};
const struct ref_op ref_copy = {forward, backward};
