#include "base/philox.h"
#include "ops/dropout.h"
#include "ref/ref.h"

/* What element `i` of sample `n` is multiplied with. */
static double factor(const struct op *op, const struct ref_call *c, int n, int64_t i)
{
        const struct dropout_args *a = op->args;
        const uint64_t seed = (uint32_t)c->vars[OP_VAR_SEED] | (uint64_t)(uint32_t)c->vars[OP_VAR_SEED + 1]
                                                                       << 32;
        const uint32_t sample = (uint32_t)(c->vars[OP_VAR_FIRST] + n);
        uint32_t words[4];
        philox(seed, (enum philox_purpose)((unsigned)PHILOX_DROPOUT | (unsigned)c->layer << 8),
                (uint32_t)c->vars[OP_VAR_STEP], (uint64_t)i / 4 | (uint64_t)sample << 32, words);
        return (double)philox_uniform(words[i % 4]) < a->p ? 0 : 1 / (1 - a->p);
}

static void forward(const struct op *op, const struct ref_call *c)
{
        const int64_t count = shape_count(op->out);
        for (int n = 0; n < c->n; n++)
                for (int64_t i = 0; i < count; i++)
                        c->y[n * count + i] =
                                c->x[0][n * count + i] * (c->training ? factor(op, c, n, i) : 1);
}

static void backward(const struct op *op, const struct ref_call *c)
{
        const int64_t count = shape_count(op->out);
        for (int n = 0; n < c->n; n++)
                for (int64_t i = 0; i < count; i++)
                        c->dx[0][n * count + i] = c->dy[n * count + i] * factor(op, c, n, i);
}

const struct ref_op ref_dropout = {forward, backward};
